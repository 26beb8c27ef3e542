"""Webhooks in: what other systems tell the service, checked, understood, and turned into incidents and schedules."""
