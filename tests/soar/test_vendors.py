"""Actions at a vendor's system from inside a SOAR, against the simulators: repeatable, without a ledger, without secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snaphold.action import find_action
from snaphold.errors import InputError, SnapholdError
from snaphold.platforms.base import CaseStatus
from snaphold.platforms.registry import platform_names
from snaphold.soar.vendors import VENDORS, VERBS, Direct, NoLedger, actions_of
from support.platform_rigs import PagerDutyRig, Rig, ServiceNowRig
from support.product_access import PRODUCTS

KEY = "INC-1/war-room/x/1"


@pytest.fixture(params=[PagerDutyRig, ServiceNowRig], ids=lambda rig: rig.kind)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    found: Rig = request.param(tmp_path)
    yield found
    found.close()


def direct(rig: Rig, **changes: Any) -> Direct:
    given: dict[str, Any] = {
        "kind": rig.kind, "url": rig.server.url, "credentials": rig.secrets(), "settings": rig.settings(),
        "ca_file": str(rig.server.ca_file), **changes,
    }  # fmt: skip
    return Direct(**given)


def test_every_platform_travels_and_every_action_is_of_the_catalogue() -> None:
    assert set(VENDORS) == {*platform_names(), *PRODUCTS}
    assert all(find_action(name) for name in VERBS)
    assert {"incident.read", "incident.add_note", "incident.set_status"} <= set(actions_of("pagerduty"))
    assert "change.open_emergency" not in actions_of("pagerduty")


def test_a_note_that_is_repeated_under_its_key_is_found(rig: Rig) -> None:
    reference = rig.open_incident()
    given = {"text": "Backup done.", "reference": reference}
    answers = [direct(rig).call("incident.add_note", given, key=KEY, incident="INC-1") for _ in range(2)]
    assert [answer["found"] for answer in answers if isinstance(answer, dict)] == [False, True]
    assert len(rig.notes(reference)) == 1


def test_an_incident_is_read_and_resolved(rig: Rig) -> None:
    reference = rig.open_incident()
    read = direct(rig).call("incident.read", {"reference": reference}, incident="INC-1")
    assert isinstance(read, dict)
    assert read["status"] in ("open", "acknowledged")
    given = {"status": "resolved", "note": "Sealed.", "reference": reference}
    direct(rig).call("incident.set_status", given, key=KEY, incident="INC-1")
    assert rig.status(reference) is CaseStatus.RESOLVED


def test_no_secret_stays_in_the_environment_or_in_an_answer(rig: Rig) -> None:
    direct(rig).check()
    with pytest.raises(SnapholdError):
        direct(rig).call("incident.read", {"reference": "NOT-THERE-1"}, incident="INC-1")
    assert not [name for name in os.environ if name.startswith("SNAPHOLD_PAGERDUTY") or name.startswith("SNAPHOLD_SERVICENOW")]


def test_wrong_credentials_are_told_without_them(rig: Rig) -> None:
    wrong = dict.fromkeys(rig.secrets(), "wrong-secret-3141")
    with pytest.raises(SnapholdError) as caught:
        direct(rig, credentials=wrong).check()
    assert "wrong-secret-3141" not in str(caught.value)


def test_what_needs_the_ledger_names_the_service(rig: Rig) -> None:
    for action in ("escalation.notify", "hold.place", "backup.start"):
        with pytest.raises(InputError, match="with a service"):
            direct(rig).call(action, {}, key=KEY, incident="INC-1")
    with pytest.raises(InputError, match="needs the Snaphold service"):
        NoLedger().append(object)
    assert (NoLedger().record(object, "x"), NoLedger().records(object)) == (None, [])
    with pytest.raises(InputError, match="no job"):
        direct(rig).job("CALL-1")
