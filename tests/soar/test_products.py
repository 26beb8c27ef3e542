"""Backups that a SOAR starts at the product itself, against the simulators: once per key, followed to their end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snaphold.errors import InputError, SnapholdError
from snaphold.soar.products import POOL
from snaphold.soar.shuffle_vendor import answer_vendor
from snaphold.soar.vendors import Direct, actions_of, read_settings
from support.product_access import PRODUCTS, address_of, product, secrets_of, settings_of_product
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
    assert (failed["success"], failed["way"], failed["state"]) == (False, "error", "failed")
