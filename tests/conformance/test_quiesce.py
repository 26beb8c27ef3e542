"""What every quiesce adapter must do, run against a live application of each."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from snaphold.domain.asset import Application
from snaphold.errors import InputError
from snaphold.quiesce.base import FreezeError, FreezeToken, QuiesceKind, Quiescer
from snaphold.quiesce.registry import adapter_names, open_quiescer
from support.quiesce_rigs import RIGS, Rig

REQUIRED_ORDER = ("freeze_requested", "frozen_at", "copy_begin", "copy_end", "thawed_at")


@pytest.fixture(params=adapter_names())
def adapter(request: pytest.FixtureRequest) -> Quiescer:
    assert request.param in RIGS, f"the adapter {request.param} has no rig in tests/support/quiesce_rigs.py"
    return open_quiescer(request.param)


@pytest.fixture
def rig(adapter: Quiescer, tmp_path: Path) -> Generator[Rig]:
    live = tmp_path / "live"
    live.mkdir()
    with RIGS[adapter.describe().name](live) as made:
        yield made


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


def take_copy(token: FreezeToken, into: Path) -> Path:
    """Copy what the token names, as a backup engine would, and return the copy (a file, or a folder of several)."""
    into.mkdir()
    copies = [Path(shutil.copy2(path, into)) for path in token.copy_paths]
    return copies[0] if len(copies) == 1 else into


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_adapter_says_what_it_is(adapter: Quiescer) -> None:
    description = adapter.describe()
    assert description.name in adapter_names()
    assert description.proved_on in {
        "real system", "vendor specification enforced", "vendor documentation", "transcript grammar only",
    }  # fmt: skip


def test_a_live_application_is_ready(adapter: Quiescer, rig: Rig) -> None:
    check = adapter.check(rig.application, rig.base)
    assert check.ready, check.reasons
    assert check.version


def test_a_missing_application_is_not_ready_and_says_why(adapter: Quiescer, tmp_path: Path) -> None:
    application = Application(quiesce=adapter.describe().name, location="nowhere/at-all")
    check = adapter.check(application, tmp_path)
    assert not check.ready
    assert check.reasons


def test_a_copy_under_a_live_writer_holds_the_invariant(adapter: Quiescer, rig: Rig, staging: Path, tmp_path: Path) -> None:
    token = adapter.freeze(rig.application, rig.base, staging)
    copy = take_copy(token, tmp_path / "copy")
    assert adapter.thaw(token).valid
    report = adapter.verify(rig.application, copy)
    assert report.consistent, report.reasons
    assert report.answer == rig.application.expected


def test_a_thaw_may_be_repeated_and_gives_the_first_answer(adapter: Quiescer, rig: Rig, staging: Path) -> None:
    token = adapter.freeze(rig.application, rig.base, staging)
    first = adapter.thaw(token)
    log = adapter.evidence(token)
    assert adapter.thaw(token) == first
    assert adapter.evidence(token) == log


def test_a_failed_copy_is_thawed_and_the_next_freeze_works(adapter: Quiescer, rig: Rig, staging: Path, tmp_path: Path) -> None:
    token = adapter.freeze(rig.application, rig.base, staging)
    try:
        for path in token.copy_paths:
            Path(path).unlink()
    finally:
        thawed = adapter.thaw(token)
    assert thawed.reason == "released"
    again = tmp_path / "again"
    again.mkdir()
    second = adapter.freeze(rig.application, rig.base, again)
    assert second.id != token.id
    assert adapter.thaw(second).valid


def test_a_deadline_that_passes_makes_the_copy_invalid(adapter: Quiescer, rig: Rig, staging: Path) -> None:
    application = rig.application.model_copy(update={"freeze_deadline": timedelta(0)})
    if adapter.describe().kind is QuiesceKind.ONLINE:
        with pytest.raises(FreezeError) as caught:
            adapter.freeze(application, rig.base, staging)
        last = caught.value.log[-1]
        assert (last.event, last.detail) == ("thawed_at", "deadline")
        assert not list(staging.iterdir()), "a copy that may not be used was left behind"
    else:
        thawed = adapter.thaw(adapter.freeze(application, rig.base, staging))
        assert (thawed.valid, thawed.reason) == (False, "deadline")


def test_the_log_proves_that_the_copy_lay_between_freeze_and_thaw(adapter: Quiescer, rig: Rig, staging: Path) -> None:
    token = adapter.freeze(rig.application, rig.base, staging)
    adapter.thaw(token)
    log = adapter.evidence(token)
    positions = [[event.event for event in log].index(name) for name in REQUIRED_ORDER]
    assert positions == sorted(positions)
    times = [event.at for event in log]
    assert times == sorted(times)
    assert token.frozen_at == log[positions[1]].at
    assert log[positions[3]].at <= token.deadline


def test_verify_finds_a_corrupted_copy(adapter: Quiescer, rig: Rig, staging: Path, tmp_path: Path) -> None:
    token = adapter.freeze(rig.application, rig.base, staging)
    copy = take_copy(token, tmp_path / "copy")
    adapter.thaw(token)
    rig.corrupt(copy)
    report = adapter.verify(rig.application, copy)
    assert not report.consistent
    assert report.reasons


def test_verify_leaves_the_copy_byte_identical_and_adds_no_file(
    adapter: Quiescer, rig: Rig, staging: Path, tmp_path: Path
) -> None:
    token = adapter.freeze(rig.application, rig.base, staging)
    take_copy(token, tmp_path / "copy")
    adapter.thaw(token)
    before = digests(tmp_path / "copy")
    adapter.verify(rig.application, tmp_path / "copy")
    assert digests(tmp_path / "copy") == before


def test_without_a_consistency_query_nothing_is_proved(adapter: Quiescer, rig: Rig, staging: Path, tmp_path: Path) -> None:
    token = adapter.freeze(rig.application, rig.base, staging)
    copy = take_copy(token, tmp_path / "copy")
    adapter.thaw(token)
    for changes in ({"consistency_query": ""}, {"expected": ""}, {"expected": "something else"}):
        report = adapter.verify(rig.application.model_copy(update=changes), copy)
        assert not report.consistent
        assert report.reasons


def test_the_token_of_another_process_is_refused(adapter: Quiescer, rig: Rig, staging: Path) -> None:
    token = adapter.freeze(rig.application, rig.base, staging)
    with pytest.raises(InputError, match="is not known here"):
        open_quiescer(adapter.describe().name).thaw(token)
    adapter.thaw(token)
