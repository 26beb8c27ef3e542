"""What a drill works on: a database of its own on the operator's server, a folder, and incidents that never were."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
import yaml

from snaphold.clock import Clock
from snaphold.config import Configuration, load_configuration
from snaphold.domain.incident import Incident
from snaphold.engine.plan import Plan, make_plan
from snaphold.identity import actor_of
from snaphold.ledger import open_ledger
from snaphold.ledger.postgresql import parse_url, told
from snaphold.ledger.upgrade import upgrade_postgres
from snaphold.playbook.load import read_playbook
from snaphold.runtime import Runtime

PERSON = "drill"
BOOK = "vendor.book"
LAST = "-last"
"""How the name of the last asset of each run ends."""
ASSETS_IN_A_RUN = 10
_PREFIX = "snaphold_drill_"
_CONNECT_SECONDS = 10
_PLAYBOOK = """apiVersion: snaphold/v1
kind: Playbook
metadata:
  name: failover-drill
  id: playbook--5f0d1a52-3f62-4c1b-9d38-0c1f6a7be001
  version: "1.0.0"
  change_record: DRILL
inputs:
  assets: {type: list, required: true}
steps:
  - {id: each, call: drill-asset, for_each: $inputs.assets, at_once: 2, with: {asset: $item}}
"""
_PART = """apiVersion: snaphold/v1
kind: Playbook
metadata:
  name: drill-asset
  id: playbook--5f0d1a52-3f62-4c1b-9d38-0c1f6a7be002
  version: "1.0.0"
  change_record: DRILL
inputs:
  asset: {type: string, required: true}
steps:
  - {id: start, do: drill.start, with: {asset: $inputs.asset}}
"""


@contextmanager
def throw_away_database(url: str) -> Generator[str, None, None]:
    """Make a database beside the one of the address, prepare it, return its address, and drop it at the end.

    Raises LedgerError when the server cannot be reached, or its user may not create databases.
    """
    parsed = parse_url(url)
    name = _PREFIX + secrets.token_hex(6)
    limits = {"connect_timeout": _CONNECT_SECONDS}
    engine = sa.create_engine(parsed, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool, connect_args=limits)
    with told(parsed.render_as_string(hide_password=True)):
        with engine.connect() as connection:
            connection.exec_driver_sql(f"create database {name} template template0 encoding 'UTF8'")
        try:
            address = parsed.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
            upgrade_postgres(address)
            yield address
        finally:
            with engine.connect() as connection:
                connection.exec_driver_sql(f"drop database if exists {name} with (force)")
            engine.dispose()


def write_configuration(folder: Path, variable: str) -> Path:
    """Write the configuration of a drill and return its path; the database's address is in the environment variable."""
    document = {
        "organisation": {"name": "Failover drill"},
        "database": f"env:{variable}",
        "tiers": [{"id": "T0", "level": 0, "impact": "None: this is a drill.", "rto": "1h", "rpo": "1h"}],
        "people": [{"id": PERSON, "name": "Failover drill", "logins": [PERSON]}],
        "roles": [{"name": "drill", "members": [PERSON], "may": ["drill.*"]}],
    }
    path = folder / "snaphold.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def open_drill(config: Path, clock: Clock) -> Runtime:
    """Return the runtime of a drill."""
    configuration: Configuration = load_configuration(config)
    person = next(one for one in configuration.people if one.id == PERSON)
    return Runtime(configuration, open_ledger(configuration, clock), clock, actor_of(configuration, person, PERSON))


def plans(assets: int, now: datetime) -> list[tuple[Plan, list[str]]]:
    """Return the runs of a drill, each with the keys that its assets must start under, once."""
    root, part = read_playbook(_PLAYBOOK, Path("failover-drill.yaml")), read_playbook(_PART, Path("drill-asset.yaml"))
    made: list[tuple[Plan, list[str]]] = []
    for first in range(1, assets + 1, ASSETS_IN_A_RUN):
        names = [f"asset-{number}" for number in range(first, min(first + ASSETS_IN_A_RUN, assets + 1))]
        names[-1] += LAST
        id = f"DRILL-{len(made) + 1}"
        incident = Incident(id=id, title="Failover drill", severity=3, category="drill", declared_at=now, assets=tuple(names))
        plan = make_plan(root, {"drill-asset": part}, {"assets": names}, incident, justification="a failover drill")
        made.append((plan, [f"{id}/failover-drill.each.start/{name}/1" for name in names]))
    return made
