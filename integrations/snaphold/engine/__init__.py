"""Runs playbooks: interpreter, durable runs on DBOS, approvals."""
