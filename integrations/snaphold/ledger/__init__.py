"""The audit chain, idempotency with lease and fence, and the registers; SQLite (WAL) through SQLAlchemy."""
