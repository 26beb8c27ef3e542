"""Alembic's scripts for the ledger's schema; upgrade.py runs them."""
