"""The shipped response to ransomware with Veeam as the only storage and changes in ServiceNow: real command, simulators."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from snaphold.cli.main import main
from snaphold.identity import current_login
from support.platform_rigs import ServiceNowRig
from support.small_estate import INCIDENT
from support.veeam_rig import ProductRig

ROLES = ("incident-managers", "ciso-oncall", "backup-team", "legal-counsel")


@pytest.fixture
def rig(tmp_path: Path) -> Generator[ProductRig]:
    made = ProductRig(tmp_path / "veeam")
    made.simulator.ends_after = 1
    yield made
    made.close()


@pytest.fixture
def changes(tmp_path: Path) -> Generator[ServiceNowRig]:
    made = ServiceNowRig(tmp_path / "servicenow")
    made.simulator.add_item("orders-db")
    yield made
    made.close()


def configure(rig: ProductRig, changes: ServiceNowRig, folder: Path) -> Path:
    """Write a configuration whose only pool is the simulated Veeam; return its path."""
    document = {
        "organisation": {"name": "Example Ltd"},
        "tiers": [{"id": "T0", "level": 0, "impact": "No orders.", "rto": "1h", "rpo": "15m"}],
        "assets": rig.configuration.model_dump(mode="json", exclude_unset=True)["assets"],
        "integrations": [rig.integration.model_dump(mode="json"), changes.integration.model_dump(mode="json")],
        "authority": {"change": {"integration": changes.integration.name}},
        "pools": [rig.pool.model_dump(mode="json", exclude_unset=True)],
        "routes": [{"tiers": ["T0"], "primary": rig.pool.name}],
        "people": [{"id": "ana", "name": "Ana Ruiz", "logins": [current_login()]}, {"id": "ben", "name": "Ben Oke"}],
        "roles": [
            {"name": "soc-analyst", "members": ["ana"], "may": ["*"]},
            {"name": "backup-emergency", "may": ["backup.start"]},
            *({"name": name, "members": ["ben"]} for name in ROLES),
        ],
        "retention": [{"keep": "90d", "basis": "Policy"}],
        "contacts": [{"role": name, "name": "On call", "reach": "phone"} for name in ROLES],
    }
    path = folder / "snaphold.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert main(["key", "create", "--config", str(path)]) == 0
    return path


@pytest.mark.slow
def test_a_response_ends_with_what_veeam_keeps_sealed_held_and_reported(
    rig: ProductRig, changes: ServiceNowRig, tmp_path: Path
) -> None:
    path = configure(rig, changes, tmp_path)
    incident = tmp_path / "incident.json"
    incident.write_text(json.dumps({**INCIDENT, "assets": ["orders-db"]}), encoding="utf-8")
    words = ["run", "ransomware-response", "--incident", str(incident), "--config", str(path), "--justification", "Exercise"]
    done = subprocess.run(
        [sys.executable, "-m", "snaphold", *words, "--no-wait"],
        env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, timeout=550, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    for step in ("evidence.seal", "evidence.check_seal", "evidence.hold", "close.keep", "close.report"):
        assert step in done.stdout
    assert "failed" not in done.stdout
    assert rig.started() == 1
    (package,) = (tmp_path / "evidence").glob("EV-*")
    assert json.loads((package / "metadata/evidence.json").read_text(encoding="utf-8"))["content"] == "record"
    (report,) = (tmp_path / "state/reports").glob("*/report.html")
    # The change covers the backup, nobody waited for its approval, and so it is left to people.
    (change,) = changes.simulator.tables.query("change_request", "")
    assert (change["type"], change["justification"]) == ("emergency", "Exercise")
    assert f"{change['number']} cannot be closed now" in done.stdout
    assert change["number"] in report.read_text(encoding="utf-8")
    assert change["number"] in (package / "metadata/approvals.json").read_text(encoding="utf-8")
