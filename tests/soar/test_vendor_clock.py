"""The clock of a vendor's system is compared with ours at the check of the connection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from snaphold.clock import FixedClock, SystemClock
from snaphold.soar.vendor_clock import clock_fault
from snaphold.soar.vendors import Direct
from support.product_access import address_of, product, secrets_of, settings_of_product
from support.quick_retries import no_pauses
from support.vendor_rigs import VendorRig

WAIT = timedelta(seconds=20)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VendorRig]:
    no_pauses(monkeypatch)
    with product("commvault", tmp_path) as found:
        yield found


def now() -> datetime:
    return datetime.now(timezone.utc)


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_that_is_wrong_is_told_with_its_difference_and_what_to_do(rig: VendorRig, hours: int) -> None:
    url, ca_file = address_of(rig)
    settings = settings_of_product(rig)
    wrong = FixedClock(now() + timedelta(hours=hours))
    direct = Direct(rig.kind, url, secrets_of(rig), settings, ca_file, clock=wrong, location=rig.location)
    (told,) = direct.check()[1]
    assert told.startswith("the clocks differ by 1")
    assert told.endswith("by NTP")


def test_clocks_that_agree_are_no_fault(rig: VendorRig) -> None:
    url, ca_file = address_of(rig)
    assert clock_fault(url, ca_file, WAIT, SystemClock()) == ""


def test_a_system_that_does_not_tell_its_time_is_no_fault(rig: VendorRig, tmp_path: Path) -> None:
    url, ca_file = address_of(rig)
    far = FixedClock(now() + timedelta(days=9))
    assert clock_fault("https://127.0.0.1:9", ca_file, WAIT, far) == ""
    assert clock_fault(url, "", WAIT, far) == "", "its certificate is not trusted, and the sign-in says so"
