"""What makes PostgreSQL itself refuse changes of the ledger: one function, and triggers that call it.

They stop mistakes and other programs; who owns the tables can drop them, and the hash chain is for that (chain.py).
"""

from __future__ import annotations

import sqlalchemy as sa

from snaphold.ledger.schema import REFUSED

FUNCTION = "refuse_change"
BODY = "begin raise exception '% is append-only', tg_table_name; end"
CREATE_FUNCTION = f"create function {FUNCTION}() returns trigger language plpgsql as '{BODY.replace(chr(39), chr(39) * 2)}'"
TABLES = tuple(dict.fromkeys(table for table, _ in REFUSED))


def create_triggers() -> list[str]:
    """Return the statements that make the function and its triggers."""
    rows = [
        f"create trigger {table}_refuses_{verb} before {verb} on {table} for each row execute function {FUNCTION}()"
        for table, verb in REFUSED
    ]
    whole = [
        f"create trigger {table}_refuses_truncate before truncate on {table} for each statement execute function {FUNCTION}()"
        for table in TABLES
    ]
    return [CREATE_FUNCTION, *rows, *whole]


_ROW, _BEFORE, _DELETE, _UPDATE, _TRUNCATE = 1, 2, 8, 16, 32
_VERBS = {"delete": _ROW | _BEFORE | _DELETE, "update": _ROW | _BEFORE | _UPDATE, "truncate": _BEFORE | _TRUNCATE}
_FOUND = """select t.tgname as name, c.relname as relation, t.tgtype as kind, t.tgenabled::text as enabled,
  p.proname as function, p.prosrc as body, t.tgqual is null as always
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid
where not t.tgisinternal and c.relnamespace = current_schema()::regnamespace"""


def guard_faults(connection: sa.Connection) -> list[str]:
    """Return the triggers that are missing, disabled or other than they were made."""
    there = {
        row.name: (row.relation, row.kind, row.enabled, row.function, row.body, row.always)
        for row in connection.execute(sa.text(_FOUND))
    }
    wanted = [*REFUSED, *((table, "truncate") for table in TABLES)]
    return [
        f"the trigger {table}_refuses_{verb}"
        for table, verb in wanted
        if there.get(f"{table}_refuses_{verb}") != (table, _VERBS[verb], "O", FUNCTION, BODY, True)
    ]
