"""What a response does with a restore point that a backup product keeps: check it, hold it, seal it, report it.

Nobody reads a product's copies as files from here. So none is proved, none is called faulty, and the evidence says that
the data stay where they are.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from snaphold.clock import SystemClock
from snaphold.config import Configuration
from snaphold.domain.authority import Hold
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import SnapholdError
from snaphold.evidence.signature import create_key
from snaphold.evidence.trust import write_trust
from snaphold.execute import execute
from snaphold.ledger.database import DatabaseLedger
from snaphold.providers.base import Support, Verb
from snaphold.providers.registry import product_names
from support.ledgers import make_context, note, open_test_ledger
from support.quick_retries import no_pauses
from support.vendor_rigs import VendorRig, rig_of

STARTS_A_PROGRAM = frozenset({"vsphere"})
ROLES = [{"name": "analysts", "members": ["ana"], "may": ["*"]}]


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.slow if name in STARTS_A_PROGRAM else ()) for name in product_names()]
)
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[VendorRig]:
    no_pauses(monkeypatch)
    made = rig_of(request.param)(tmp_path)
    yield made
    made.close()


def configure(rig: VendorRig, folder: Path) -> Configuration:
    """Return the rig's configuration with a right for ana, and a signing key in place."""
    given = rig.configuration.model_dump(mode="json", exclude_unset=True)
    given["roles"] = ROLES
    configuration = Configuration.model_validate(given).placed_at(folder)
    write_trust(configuration, create_key(folder / "keys/custodian"), SystemClock().now())
    return configuration


def test_a_restore_point_is_checked_held_sealed_and_reported(rig: VendorRig, tmp_path: Path) -> None:
    _, point = rig.restore_point()
    configuration = configure(rig, tmp_path)
    ledger = open_test_ledger(tmp_path, SystemClock())
    ledger.append(note(incident="INC-1"), [point])

    def do(name: str, **given: Any) -> Any:
        context = make_context(configuration, ledger, SystemClock(), key=f"INC-1/{name}/-/1", justification="Exercise")
        return execute(name, given, context)

    checked = do("backup.verify", restore_point=point.id)
    assert not checked.faulty, checked
    assert checked.outcome is (Outcome.SUCCEEDED if checked.verified else Outcome.PARTIAL)
    assert checked.verified or not checked.checks
    assert checked.findings
    assert bool(registered(ledger, point).verified_at) == checked.verified

    assert do("hold.place", reason="Exercise").holds
    assert ledger.records(Hold, "INC-1")

    sealed = do("evidence.seal")
    assert sealed.outcome is Outcome.PARTIAL
    assert any("its data are not in this package" in finding and point.reference in finding for finding in sealed.findings)
    (line,) = (Path(sealed.path) / "data/E0001.jsonl").read_text(encoding="utf-8").splitlines()
    kept = json.loads(line)
    assert (kept["id"], kept["reference"], kept["pool"]) == (point.id, point.reference, point.pool)
    metadata = json.loads((Path(sealed.path) / "metadata/evidence.json").read_text(encoding="utf-8"))
    assert metadata["content"] == "record"
    judged = do("evidence.verify", evidence=sealed.evidence)
    assert (judged.status, judged.faults) == ("verified", [])
    assert Path(do("report.summary").report).is_file()


def test_a_restore_point_that_the_product_does_not_have_never_passes(rig: VendorRig, tmp_path: Path) -> None:
    provider, point = rig.restore_point()
    if provider.describe().capabilities[Verb.VERIFY].support is Support.UNSUPPORTED:
        pytest.skip("nothing is asked of this product")
    reference = point.reference[:-4] + ("0000" if not point.reference.endswith("0000") else "1111")
    ledger = open_test_ledger(tmp_path, SystemClock())
    ledger.append(note(incident="INC-1"), [point.model_copy(update={"reference": reference})])
    context = make_context(configure(rig, tmp_path), ledger, SystemClock(), key="INC-1/verify/-/1")
    with suppress(SnapholdError):
        checked: Any = execute("backup.verify", {"restore_point": point.id}, context)
        assert (checked.faulty, checked.verified, checked.outcome) == (True, False, Outcome.FAILED)
    assert registered(ledger, point).verified_at is None


def registered(ledger: DatabaseLedger, point: RestorePoint) -> RestorePoint:
    found = ledger.record(RestorePoint, point.id)
    assert found is not None
    return found
