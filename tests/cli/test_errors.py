"""What goes wrong outside is told on one screen: what, why, what to do; the right exit code; nothing lost.

Each row breaks a healthy estate in one way and runs the real command. More rows are one line each.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.backup_site import engine_wrapper, small_storage
from support.needs import need_program
from support.small_estate import INCIDENT, Said, build, snaphold

LONGEST_WAIT_SECONDS = 240.0
SCREEN_ROWS = 24
SCREEN_COLUMNS = 80
CLASSIFY = ("do", "triage.classify_assets", "--incident", "incident.json")
HEALTH = ("do", "backup.check_health", "--incident", "incident.json")
START = ("do", "backup.start", "--incident", "incident.json", "--asset", "files-01", "--justification", "test")


@dataclass(frozen=True)
class Row:
    """One way to break the estate, the command, and what must be said about it."""

    name: str
    spoil: Callable[[Path], None]
    words: tuple[str, ...]
    code: int
    says: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))

    return spoil


def write(file: str, content: str | bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())

    return spoil


def remove(file: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / file).unlink()

    return spoil


def folder_instead_of(file: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        (folder / file).mkdir()

    return spoil


def incident(**changes: object) -> Callable[[Path], None]:
    return write("incident.json", json.dumps({**INCIDENT, **changes}))


def nothing(_folder: Path) -> None:
    """Break nothing: the command line or the environment is the fault."""


def many_faults(folder: Path) -> None:
    rows = "\n".join(f"  - {{id: asset-{number}, kind: toaster, owner: x}}" for number in range(500))
    replace("snaphold.yaml", "assets:\n", f"assets:\n{rows}\n")(folder)


BAD_PLAYBOOK = """\
apiVersion: snaphold/v1
kind: Playbook
metadata:
  name: broken
  id: playbook--5d1a1b8e-6f0c-4b55-9a57-2c9a4b1f7e01
  version: "1.0.0"
  change_record: CHG1
  severity: 9
  description: Broken.
steps:
  - id: one
    title: One
    do: triage.clasify_assets
"""

ROWS = [
    # bad configuration
    Row("no configuration", remove("snaphold.yaml"), CLASSIFY, 2, ("there is no configuration", "snaphold config sample")),
    Row("not YAML", write("snaphold.yaml", "tiers: [\n"), CLASSIFY, 2, ("not valid YAML", "snaphold.yaml:")),
    Row("unknown key", replace("snaphold.yaml", "owner:", "ownr:"), CLASSIFY, 2, ("snaphold.yaml:5:", 'did you mean "owner"?')),
    Row("unknown tier", replace("snaphold.yaml", "tier: T0", "tier: T9"), CLASSIFY, 2, ("there is no tier 'T9'",)),
    Row("inline secret", replace("snaphold.yaml", '"file:keys/isolated-01"', "hunter2"), CLASSIFY, 2, ("env:NAME",)),
    Row("500 faults", many_faults, CLASSIFY, 2, ("snaphold.yaml:5:", "more lines; --json shows all")),
    Row("a folder as configuration", folder_instead_of("snaphold.yaml"), (*CLASSIFY, "--config", "snaphold.yaml"), 2,
        ("cannot be read",)),
    Row("configuration in Latin-1", write("snaphold.yaml", b"name: M\xfcller\n"), CLASSIFY, 2, ("is not UTF-8 text",)),
    Row("a stranger", replace("snaphold.yaml", "logins: [", "logins: [not-"), CLASSIFY, 4, ("belongs to nobody",)),
    Row("a role that may not", replace("snaphold.yaml", '["*"]', '["audit.*"]'), CLASSIFY, 4, ("triage.classify_assets",)),
    # bad playbook
    Row("unknown action", write("p.yaml", BAD_PLAYBOOK), ("run", "p.yaml", "--incident", "incident.json"), 2,
        ("p.yaml:13:", 'did you mean "triage.classify_assets"?')),
    Row("playbook that is not there", nothing, ("run", "ransomware-respones", "--incident", "incident.json"), 2,
        ("ransomware-respones", "ransomware-response")),
    # bad incident
    Row("no incident", remove("incident.json"), CLASSIFY, 2, ("incident.json does not exist",)),
    Row("truncated JSON", write("incident.json", '{"id": "INC-1",'), CLASSIFY, 2, ("not valid JSON", "incident.json:1:")),
    Row("empty file", write("incident.json", ""), CLASSIFY, 2, ("not valid JSON",)),
    Row("a list", write("incident.json", "[]"), CLASSIFY, 2, ("incident.json",)),
    Row("missing field", write("incident.json", '{"id": "INC-1"}'), CLASSIFY, 2, ("severity: is missing",)),
    Row("key twice", write("incident.json", '{"id": "a", "id": "b"}'), CLASSIFY, 2, ("'id' stands twice",)),
    Row("deep nesting", write("incident.json", "[" * 100_000), CLASSIFY, 2, ("nested too deeply",)),
    Row("severity 9", incident(severity=9), CLASSIFY, 2, ("severity",)),
    Row("time without zone", incident(declared_at="2026-11-22T18:00:00"), CLASSIFY, 2, ("declared_at",)),
    Row("unknown asset", incident(assets=["files-o1"]), CLASSIFY, 2, ("files-o1", 'did you mean "files-01"?')),
    Row("a path as id", incident(id="../../etc"), CLASSIFY, 2, ("id",)),
    Row("escape sequences", incident(id="\x1b[2J\x1b[31m"), CLASSIFY, 2, ("id",)),
    # what is named is not there
    Row("no evidence package", nothing, ("evidence", "verify", "nowhere"), 2, ("is not an evidence package",)),
    Row("no run", nothing, ("runs", "show", "RUN-1"), 2, ("there is no run 'RUN-1'",)),
    Row("no approval", nothing, ("approvals", "approve", "A-1", "--reason", "x"), 2, ("A-1", "approvals list")),
    Row("no restore point", nothing, ("do", "backup.verify", "--incident", "incident.json", "--restore-point", "RP-x-1"), 2,
        ("RP-x-1",)),
    Row("no signing key", nothing, ("audit", "checkpoint"), 2, ("custodian", "snaphold key create")),
    # bad use
    Row("unknown option", nothing, (*CLASSIFY, "--assetz", "x"), 2, ('did you mean "--assets"?',)),
    Row("unknown action", nothing, ("do", "backup.strat"), 2, ('did you mean "backup.start"?',)),
]  # fmt: skip

ENGINE_ROWS = [
    Row("missing restic", nothing, START, 1, ("restic", "install"), {"PATH": "/nonexistent"}),
    Row("password file gone", remove("keys/isolated-01"), START, 1, ("keys/isolated-01",)),
    Row("password for all", lambda folder: (folder / "keys/isolated-01").chmod(0o644), START, 1, ("read by others",)),
    Row("source gone", lambda folder: shutil.rmtree(folder / "share"), START, 1, ("share",)),
]  # fmt: skip


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    return build(tmp_path)


def check_screen(said: Said, code: int, says: tuple[str, ...]) -> None:
    shown = said.err
    assert "Traceback" not in shown + said.out
    assert said.code == code, shown
    assert sum(max(1, -(-len(line) // SCREEN_COLUMNS)) for line in shown.splitlines()) <= SCREEN_ROWS, shown
    assert shown.startswith("error: "), shown
    assert "unforeseen" not in shown, shown
    assert "\n  why: " in shown or "\n  do: " in shown, f"neither why nor what to do: {shown}"
    assert "\x1b" not in shown
    for text in says:
        assert text in shown, shown


def check_nothing_half_written(folder: Path) -> None:
    left = [path for path in folder.rglob("*") if path.suffix in (".tmp", ".part", ".partial", ".new")]
    assert left == []


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
@pytest.mark.slow
def test_a_fault_is_told_on_one_screen(row: Row, estate: Path) -> None:
    row.spoil(estate)
    said = snaphold(estate, *row.words, environment=row.environment)
    check_screen(said, row.code, row.says)
    check_nothing_half_written(estate)


@pytest.mark.parametrize("row", ENGINE_ROWS, ids=[row.name for row in ENGINE_ROWS])
@pytest.mark.slow
def test_a_fault_of_the_engine_is_told_on_one_screen(row: Row, estate: Path) -> None:
    need_program("restic")
    row.spoil(estate)
    said = snaphold(estate, *row.words, environment=row.environment)
    check_screen(said, row.code, row.says)
    check_nothing_half_written(estate)


@pytest.mark.slow
def test_the_same_fault_is_one_json_line_for_programs(estate: Path) -> None:
    many_faults(estate)
    said = snaphold(estate, *CLASSIFY, "--json")
    [line] = said.err.splitlines()
    error = json.loads(line)
    assert (error["message_type"], error["code"], said.code) == ("exit_error", 2, 2)
    assert error["why"].count("\n") > 400
    assert said.out == ""


def finish_backup(folder: Path, *more: str) -> dict[str, Any]:
    """Start a backup, wait for its end and return the last status."""
    started = snaphold(folder, *START, *more, "--json")
    assert started.code == 0, started.err
    job = json.loads(started.out)["job"]
    until = time.monotonic() + LONGEST_WAIT_SECONDS
    while time.monotonic() < until:
        words = ("--asset", "files-01", "--pool", "isolated-01", "--job", job)
        said = snaphold(folder, "do", "backup.status", "--incident", "incident.json", *words, "--json")
        status = json.loads(said.out)
        if status["state"] != "running":
            return {**status, "code": said.code}
        time.sleep(0.2)
    raise AssertionError(f"{job} did not end")


def check_chain(folder: Path) -> None:
    """The audit trail is whole; that nothing is missing at its end cannot be told, because nobody made a checkpoint."""
    said = snaphold(folder, "audit", "verify")
    assert said.code == 3
    assert "there is no checkpoint" in said.out


def fill(folder: Path) -> None:
    """Leave no room in a small file system."""
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


@pytest.mark.slow
def test_a_health_check_without_restic_is_a_finding_and_not_a_crash(estate: Path) -> None:
    said = snaphold(estate, *HEALTH, environment={"PATH": "/nonexistent"})
    assert "healthy   false" in said.out
    assert "the program restic is not installed" in said.out


@pytest.mark.slow
def test_a_full_disk_under_the_ledger_stops_before_anything_is_done(estate: Path) -> None:
    with small_storage(estate / "state", "1m") as state:
        fill(state)
        check_screen(snaphold(estate, *START), 1, ("state",))
        (state / "filler").unlink()
        assert snaphold(estate, *CLASSIFY).code == 0
        check_chain(estate)


@pytest.mark.slow
def test_a_ledger_that_runs_full_later_keeps_what_it_has(estate: Path) -> None:
    with small_storage(estate / "state", "1m") as state:
        assert snaphold(estate, *CLASSIFY).code == 0
        before = snaphold(estate, "audit", "export").out.splitlines()
        fill(state)
        check_screen(snaphold(estate, *CLASSIFY), 1, ("state",))
        (state / "filler").unlink()
        assert snaphold(estate, *CLASSIFY).code == 0
        assert snaphold(estate, "audit", "export").out.splitlines()[: len(before)] == before
        check_chain(estate)


@pytest.mark.slow
def test_a_pool_without_room_is_told_with_numbers(estate: Path) -> None:
    need_program("restic")
    (estate / "share/big").write_bytes(os.urandom(4 * 1024 * 1024))
    with small_storage(estate / "pools", "1m"):
        said = snaphold(estate, *START)
        check_screen(said, 1, ("no pool can take the backup of files-01",))
        assert re.search(r"[0-9]{6,}", said.err), said.err


@pytest.mark.slow
@pytest.mark.parametrize("target", ["state", "pools"])
def test_a_read_only_target_is_told_as_one(target: str, estate: Path) -> None:
    need_program("restic")
    with small_storage(estate / target, "1m") as mounted:
        subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
        check_screen(snaphold(estate, *START), 1, (target,))


@pytest.mark.slow
def test_a_wrong_repository_password_is_told_and_the_backup_before_stays(estate: Path) -> None:
    need_program("restic")
    first = finish_backup(estate)
    assert (first["state"], first["backup_outcome"], first["code"]) == ("done", "succeeded", 0)
    (estate / "keys/isolated-01").write_text("another-password-entirely\n")
    said = snaphold(estate, *START, "--generation", "2")
    check_screen(said, 2, ("password",))
    assert "another-password" not in said.err
    (estate / "keys/isolated-01").write_text("a-long-test-password\n")
    verify = ("do", "backup.verify", "--incident", "incident.json", "--restore-point", first["restore_point"])
    assert snaphold(estate, *verify).code == 0


@pytest.mark.slow
def test_an_unreadable_file_makes_a_partial_backup_and_exit_code_3(estate: Path) -> None:
    need_program("restic")
    (estate / "share/locked").write_text("x")
    (estate / "share/locked").chmod(0)
    if os.geteuid() == 0:
        # Root reads everything; the same engine without that privilege does not.
        wrapper = engine_wrapper(estate, "restic", prefix="setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-all")
        replace("snaphold.yaml", "reserve: 0.0", f"reserve: 0.0, program: {wrapper}")(estate)
    status = finish_backup(estate)
    assert (status["state"], status["backup_outcome"], status["code"]) == ("done", "partial", 3)
    assert any("locked" in finding for finding in status["findings"])
    assert status["restore_point"]


SEAL = ("do", "evidence.seal", "--incident", "incident.json", "--justification", "test")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_seal_that_cannot_be_written_leaves_no_half_package(fault: str, estate: Path) -> None:
    need_program("restic")
    assert snaphold(estate, "key", "create").code == 0
    assert finish_backup(estate)["code"] == 0
    with small_storage(estate / "evidence", "64k") as store:
        if fault == "full":
            fill(store)
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(store)], check=True)
        check_screen(snaphold(estate, *SEAL), 1, ("cannot",))
        # What is being sealed stands in a hidden staging folder, which nobody can take for a package.
        assert [path.name for path in store.iterdir() if not path.name.startswith(("filler", ".staging-"))] == []
    sealed = snaphold(estate, *SEAL, "--generation", "2", "--json")
    assert sealed.code in (0, 3), sealed.err
    assert snaphold(estate, "evidence", "verify", json.loads(sealed.out)["path"]).code in (0, 3)
