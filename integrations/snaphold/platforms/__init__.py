"""Incident, paging and change systems behind one port."""
