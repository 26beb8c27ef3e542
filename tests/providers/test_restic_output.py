from __future__ import annotations

from datetime import datetime, timezone

import pytest

from snaphold.errors import InputError, ProviderError, StorageError
from snaphold.hosts.base import CompletedCommand
from snaphold.providers.restic_output import (
    LOCKED,
    NO_REPOSITORY,
    WRONG_PASSWORD,
    cause_of,
    explain,
    json_lines,
    read_array,
    read_moment,
    read_version,
    unreadable_items,
    version_numbers,
)

OLD, NEW = "0.14.0", "0.17.3"


def done(code: int, stderr: str = "") -> CompletedCommand:
    return CompletedCommand(("restic",), code, "", stderr, 0.1)


def test_the_version_is_read_from_what_restic_prints() -> None:
    assert read_version("restic 0.14.0 compiled with go1.19.8 on linux/amd64\n") == OLD
    assert read_version("restic 0.18.1-dev (compiled manually) compiled with go1.24\n") == "0.18.1-dev"
    assert version_numbers("0.18.1-dev") == (0, 18)


def test_another_program_is_not_taken_for_restic() -> None:
    with pytest.raises(ProviderError, match="not restic"):
        read_version("usage: restic-client URL")


@pytest.mark.parametrize(
    ("stderr", "cause"),
    [
        ("Fatal: wrong password or no key found", WRONG_PASSWORD),
        ("Fatal: unable to open config file: stat /r/config: no such file or directory", NO_REPOSITORY),
        ("unable to create lock in backend: repository is already locked exclusively by PID 1 on vm", LOCKED),
        ("Fatal: something else", None),
    ],
)
def test_an_old_restic_tells_the_cause_on_stderr_only(stderr: str, cause: int | None) -> None:
    assert cause_of(OLD, done(1, stderr)) == cause


@pytest.mark.parametrize("code", [NO_REPOSITORY, LOCKED, WRONG_PASSWORD])
def test_a_new_restic_tells_the_cause_by_exit_code_only(code: int) -> None:
    assert cause_of(NEW, done(code)) == code
    assert cause_of(NEW, done(1, "wrong password or no key found")) is None
    assert cause_of(OLD, done(code)) is None


def test_the_cause_becomes_an_error_that_says_what_to_do() -> None:
    assert isinstance(explain("the backup", OLD, done(1, "wrong password or no key found"), "/r"), InputError)
    assert isinstance(explain("the backup", OLD, done(1, "write /r/x: no space left on device"), "/r"), StorageError)
    locked = explain("the backup", NEW, done(11), "/r")
    assert isinstance(locked, ProviderError)
    assert locked.retryable


def test_an_unknown_code_is_a_failure() -> None:
    error = explain("the backup", NEW, done(99, "success"), "/r")
    assert isinstance(error, ProviderError)
    assert "99" in error.what


def test_json_is_found_among_plain_text() -> None:
    text = 'open repository\n{"message_type":"summary","snapshot_id":"x"}\n{broken\nscan finished'
    assert [line["message_type"] for line in json_lines(text)] == ["summary"]


def test_an_array_is_found_behind_warnings_and_null_is_empty() -> None:
    assert read_array('warning: x\n[{"id":"a"}]\n') == [{"id": "a"}]
    assert read_array("null\n") == []
    with pytest.raises(ProviderError):
        read_array("no snapshots\n")


def test_what_could_not_be_read_is_named_once() -> None:
    line = '{"message_type":"error","error":{"Op":"open","Path":"/a","Err":13},"during":"archival","item":"/a"}\n'
    assert unreadable_items(line + line.replace("/a", "/b") + line) == ["/a", "/b"]


def test_nanoseconds_and_zones_are_read() -> None:
    assert read_moment("2026-11-22T18:24:52.822738947Z") == datetime(2026, 11, 22, 18, 24, 52, 822738, tzinfo=timezone.utc)
    assert read_moment("2026-11-22T19:24:52.8+01:00").hour == 18
