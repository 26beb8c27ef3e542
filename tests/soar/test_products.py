"""Backups that a SOAR starts at the product itself, against the simulators: once per key, followed to their end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from snaphold.errors import InputError, SnapholdError
from snaphold.simulators.faults import FOR_EVER, Fault
from snaphold.soar.products import POOL
from snaphold.soar.vendors import Direct, actions_of, read_settings
from support.product_access import PRODUCTS, address_of, answer_vendor, product, secrets_of, settings_of_product
from support.quick_retries import no_pauses
from support.vendor_rigs import ASSET, INCIDENT, KEY, VendorRig

STEP = {"snaphold_incident": INCIDENT, "snaphold_step": "save", "snaphold_justification": "An exercise"}


@pytest.fixture(params=PRODUCTS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VendorRig]:
    with product(request.param, tmp_path) as found:
        yield found


def direct(rig: VendorRig, **changes: Any) -> Direct:
    url, ca_file = address_of(rig)
    given: dict[str, Any] = {
        "kind": rig.kind, "url": url, "credentials": secrets_of(rig), "settings": settings_of_product(rig),
        "ca_file": ca_file, "location": rig.location, **changes,
    }  # fmt: skip
    return Direct(**given)


def ask(rig: VendorRig, action: str, given: dict[str, Any], key: str = "", incident: str = INCIDENT) -> dict[str, Any]:
    answer = direct(rig).call(action, given, key=key, incident=incident)
    assert isinstance(answer, dict)
    return answer


def test_a_backup_is_started_once_per_key_and_followed_to_its_end(rig: VendorRig) -> None:
    first, again = (ask(rig, "backup.start", {"asset": ASSET}, KEY) for _ in range(2))
    assert first["job"] == again["job"]
    assert (rig.started(), first["pool"]) == (1, POOL)
    job = {"asset": ASSET, "pool": POOL, "job": first["job"]}
    assert ask(rig, "backup.status", job)["state"] == "running"
    rig.let_jobs_end()
    ended = ask(rig, "backup.status", job)
    assert (ended["state"], ended["backup_outcome"] in ("succeeded", "partial")) == ("done", True)
    assert ended["restore_point"].startswith(f"RP-{ASSET}-")
    assert ask(rig, "backup.start", {"asset": ASSET}, KEY)["job"] == first["job"]
    assert rig.started() == 1


def test_a_backup_that_failed_is_no_success(rig: VendorRig) -> None:
    job = ask(rig, "backup.start", {"asset": ASSET}, KEY)["job"]
    rig.let_jobs_end(well=False)
    ended = ask(rig, "backup.status", {"asset": ASSET, "pool": POOL, "job": job})
    assert (ended["outcome"], ended["state"], ended["restore_point"]) == ("failed", "failed", "")


def test_room_and_health_are_looked_at(rig: VendorRig) -> None:
    room = ask(rig, "backup.check_capacity", {"assets": [ASSET]})
    assert (room["fits"], room["pools"]) == (True, [f"{ASSET}={POOL}"])
    assert room["free_bytes"] > 0
    assert ask(rig, "backup.check_health", {"assets": [ASSET]})["healthy"] is True
    unknown = ask(rig, "backup.check_health", {"assets": ["not-there-1"]})
    assert (unknown["healthy"], "not-there-1" in str(unknown["reasons"])) == (False, True)
    with pytest.raises(InputError, match="no asset is named"):
        ask(rig, "backup.check_health", {})


def test_the_check_looks_at_the_storage_and_wrong_passwords_are_told_without_them(rig: VendorRig) -> None:
    assert direct(rig).check()[1] == ()
    with pytest.raises(SnapholdError, match="Nowhere"):
        direct(rig, location="Nowhere").check()
    with pytest.raises(InputError, match="no storage is named"):
        direct(rig, location="").check()
    wrong = {**secrets_of(rig), "password": "wrong-secret-3141"}
    with pytest.raises(SnapholdError) as caught:
        direct(rig, credentials=wrong).call("backup.start", {"asset": ASSET}, key=KEY, incident=INCIDENT)
    assert "wrong-secret-3141" not in str(caught.value)
    assert rig.started() == 0


def test_what_needs_the_register_names_the_service(rig: VendorRig) -> None:
    assert len(actions_of(rig.kind)) == 4
    for action in ("backup.publish", "backup.mark_infected", "backup.end_publication", "backup.verify", "incident.read"):
        with pytest.raises(InputError, match="cannot do"):
            ask(rig, action, {}, KEY)
    with pytest.raises(InputError, match="there is no pool"):
        ask(rig, "backup.start", {"asset": ASSET, "pool": "other-01"}, KEY)


def test_a_setting_with_several_values_is_written_several_times() -> None:
    assert read_settings("hosts=a,hosts=b\njob=x") == {"hosts": "a,b", "job": "x"}


def test_a_method_of_shuffle_starts_once_and_a_status_needs_the_incident(rig: VendorRig) -> None:
    url, ca_file = address_of(rig)
    settings = ",".join(f"{name}={value}" for name, value in settings_of_product(rig).items())
    access = {"url": url, **secrets_of(rig), "ca_file": ca_file, "location": rig.location, "settings": settings}
    assert answer_vendor(rig.kind, "check_connection", {**access, "note": "x"})["success"] is True
    first, again = (answer_vendor(rig.kind, "backup_start", {**access, **STEP, "asset": ASSET}) for _ in range(2))
    assert (first["success"], first["job"], rig.started()) == (True, again["job"], 1), first
    job = {**access, "asset": ASSET, "pool": POOL, "job": first["job"]}
    assert "no incident is named" in str(answer_vendor(rig.kind, "backup_status", job))
    rig.let_jobs_end(well=False)
    failed = answer_vendor(rig.kind, "backup_status", {**job, **STEP})
    assert (failed["success"], failed["way"], failed["state"], failed["job"]) == (False, "error", "failed", first["job"])
    assert f"job {first['job']}" in failed["why"]


def shuffle_access(rig: VendorRig) -> dict[str, str]:
    url, ca_file = address_of(rig)
    settings = ",".join(f"{name}={value}" for name, value in settings_of_product(rig).items())
    return {"url": url, **secrets_of(rig), "ca_file": ca_file, "location": rig.location, "settings": settings}


def shuffle_question(rig: VendorRig, **changes: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Start a backup; return what a question about it is given, and the answer of the start."""
    started = answer_vendor(rig.kind, "backup_start", {**shuffle_access(rig), **STEP, "asset": ASSET})
    told = {name: started[name] for name in ("asset", "pool", "job")}
    deadline = {"snaphold_asked_at": started["asked_at"], "snaphold_within": "6h"}
    return {**shuffle_access(rig), "snaphold_incident": INCIDENT, **told, **deadline, **changes}, started


def test_shuffle_is_told_whether_to_ask_again_to_go_on_or_to_stop(rig: VendorRig) -> None:
    question, started = shuffle_question(rig)
    running = [answer_vendor(rig.kind, "backup_status", question) for _ in range(2)]
    assert [(one["success"], one["way"], one["state"]) for one in running] == [(True, "waiting", "running")] * 2
    rig.let_jobs_end()
    ended = answer_vendor(rig.kind, "backup_status", question)
    assert (ended["success"], ended["way"], ended["state"], ended["job"]) == (True, "next", "done", started["job"])
    assert rig.started() == 1


def test_a_backup_that_is_late_on_shuffle_is_unknown_and_names_its_job(rig: VendorRig) -> None:
    question, started = shuffle_question(rig, snaphold_asked_at="2020-01-01T00:00:00.000Z")
    late = answer_vendor(rig.kind, "backup_status", question)
    assert (late["success"], late["way"], late["outcome"], late["job"]) == (False, "error", "unknown", started["job"])
    assert "was not done within 6h" in late["why"]
    assert f"job {started['job']} still runs" in late["why"]
    rig.let_jobs_end()
    assert answer_vendor(rig.kind, "backup_status", question)["way"] == "next", "it ended, so it is not late"


@pytest.mark.parametrize("changes", [{"snaphold_within": ""}, {"snaphold_asked_at": "yesterday"}, {"snaphold_within": "soon"}])
def test_half_a_deadline_is_refused(rig: VendorRig, changes: dict[str, str]) -> None:
    question, _ = shuffle_question(rig, **changes)
    refused = answer_vendor(rig.kind, "backup_status", question)
    assert (refused["success"], "are no deadline" in refused["why"]) == (False, True)


def test_a_question_without_an_answer_is_asked_again_on_shuffle_until_it_is_late(
    rig: VendorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_pauses(monkeypatch)
    question, started = shuffle_question(rig)
    cast("Any", rig).server.faults.switch_on(Fault("reset_before", FOR_EVER))
    silent = answer_vendor(rig.kind, "backup_status", question)
    assert (silent["success"], silent["way"], silent["job"]) == (True, "waiting", started["job"])
    late = answer_vendor(rig.kind, "backup_status", {**question, "snaphold_asked_at": "2020-01-01T00:00:00.000Z"})
    assert (late["success"], late["outcome"]) == (False, "unknown")
    assert f"job {started['job']} ran on when it last answered; now it does not" in late["why"]
    endless = answer_vendor(rig.kind, "backup_status", {**question, "snaphold_asked_at": "", "snaphold_within": ""})
    assert (endless["success"], f"job {started['job']}" in endless["why"]) == (False, True)
