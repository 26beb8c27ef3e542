"""`snaphold demo` end to end: what it leaves behind is checked with stock programs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from snaphold.cli.main import main
from snaphold.demo.estate import PLAYBOOK
from snaphold.demo.share import files_of, fill_share
from support.backup_site import engine_wrapper
from support.needs import need_program

pytestmark = pytest.mark.slow
LONGEST_SECONDS = 550
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(*argv: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it did."""
    return subprocess.run(argv, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)


def snaphold(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the product as a person would."""
    return run(sys.executable, "-m", "snaphold", *words)


@pytest.fixture(scope="module", params=["restic", "rclone"])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder in which the demonstration was played with one engine, and its summary."""
    if request.param == "restic":
        need_program("restic")
    folder = tmp_path_factory.mktemp("demo") / request.param
    done = snaphold("demo", "--dir", str(folder), "--engine", request.param, "--json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_it_leaves_everything_for_inspection(played: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = played
    for name in ("snaphold.yaml", "incident.json", "trust/allowed_signers", "report.html", "state/ledger.sqlite", "pools"):
        assert (folder / name).exists(), name
    assert summary["status"] == "done"
    assert Path(summary["evidence"]).parent == folder / "evidence"
    assert PLAYBOOK in (folder / "report.html").read_text()


def test_every_stock_command_that_it_names_passes(played: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, summary = played
    done = run("bash", "-euc", "\n".join(summary["commands"]), folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Good "evidence@snaphold" signature' in done.stdout
    fill_share(tmp_path)
    (share,) = (path for path in (folder / "restored").rglob("share") if path.is_dir())
    wanted = {path.relative_to(tmp_path): path.read_bytes() for path in files_of(tmp_path)}
    assert {path.relative_to(share): path.read_bytes() for path in files_of(share)} == wanted


def test_the_tier_of_each_asset_reaches_the_backup_engine(played: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = played
    if summary["engine"] != "restic":
        return  # rclone has no tags
    repository, password = summary["repository"], str(folder / "keys" / "isolated-01")
    listed = json.loads(run("restic", "-r", repository, "-p", password, "snapshots", "--json").stdout)
    tiers = {tag for snapshot in listed for tag in snapshot["tags"] if tag.startswith("tier=")}
    assert tiers == {"tier=T0"}


def test_a_flipped_byte_anywhere_in_the_evidence_is_named(
    played: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, summary = played
    copy = tmp_path / "evidence" / "copy"
    shutil.copytree(summary["evidence"], copy)
    names = sorted(path.relative_to(copy) for path in copy.rglob("*") if path.is_file() and path.stat().st_size)
    assert names
    for name in names:
        path = copy / name
        path.chmod(0o600)
        sound = path.read_bytes()
        middle = len(sound) // 2
        path.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
        words = ["evidence", "verify", str(copy), "--trust", str(folder / "trust"), "--json"]
        if name == names[0]:  # as a person would; the others by the same command line in this process
            done = snaphold(*words)
            code, said = done.returncode, done.stdout
        else:
            code, said = main(words), capsys.readouterr().out
        report = json.loads(said)
        path.write_bytes(sound)
        path.chmod(0o444)
        assert code != 0, name
        assert report["status"] != "verified", name
        assert str(name) in json.dumps(report["faults"]), f"{name}: {report['faults']}"


def test_no_application_is_left_running(played: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = played
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
    assert not [command for command in commands if b"snaphold.demo.writer" in command and str(folder).encode() in command]


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder in which the demonstration was played on a narrow terminal, and what it told people."""
    folder = tmp_path_factory.mktemp("told") / "new"
    argv = [sys.executable, "-m", "snaphold", "demo", "--dir", str(folder), "--engine", "rclone"]
    narrow = {**ENVIRONMENT, "COLUMNS": "80"}
    done = subprocess.run(argv, env=narrow, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_text_for_people_names_the_engine_the_second_identity_and_the_attack(
    told: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = told
    for said in (
        "engine: rclone",
        "Bruno Keller, the demonstration's second identity",
        "mass encryption",
        "ransom note",
        "verified",
    ):
        assert said in " ".join(done.stdout.split()), said


def test_its_lines_fit_a_narrow_terminal_but_for_what_is_copied(
    told: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = told
    story, _, _ = done.stdout.partition("Everything is kept in")
    assert [line for line in story.splitlines() if len(line) > 80 and str(folder.parent) not in line] == []
    assert "\x1b" not in done.stdout, "no colour where nobody looks"


def test_a_folder_that_holds_something_is_refused_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = snaphold("demo", "--dir", str(tmp_path))
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt"]


def test_the_audit_trail_verifies_and_is_signed_to_its_end(played: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = played
    done = snaphold("audit", "verify", "--config", str(folder / "snaphold.yaml"), "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["status"], report["entries_after_checkpoint"]) == (0, "verified", 0)
    assert summary["tally"]["verified"] == 2, "the evidence and the audit trail"


def test_an_interrupt_ends_it_with_its_code_and_says_where_the_rest_is(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "snaphold", "demo", "--dir", str(tmp_path / "demo"), "--engine", "rclone", "--json"]
    pipe, ended = subprocess.PIPE, tmp_path / "ended"
    # The backups stand still until the test is over, so that the interrupt always comes in the middle.
    waiting = f'case " $* " in *" copy"*) while [ ! -e {ended} ]; do sleep 0.1; done; exit 1;; esac'
    Path(engine_wrapper(tmp_path, "rclone", before=waiting)).rename(tmp_path / "rclone")
    environment = {**ENVIRONMENT, "PATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PATH']}"}
    with subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=environment) as playing, marked_at_the_end(ended):
        assert playing.stdout
        assert playing.stderr
        for line in playing.stdout:
            assert isinstance(json.loads(line), dict)
            if "approved" in line:
                break
        playing.send_signal(signal.SIGINT)
        playing.stdout.read()
        said = playing.stderr.read()
    assert playing.returncode == 130
    assert str(tmp_path / "demo") in said
    assert "Traceback" not in said
    writers = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _mentions(path, tmp_path / "demo/app")]
    assert writers == [], "the application that it started has ended"


@contextmanager
def marked_at_the_end(mark: Path) -> Generator[None]:
    """Make a file when the block is left."""
    try:
        yield
    finally:
        mark.touch()


def _mentions(command_line: Path, place: Path) -> bool:
    try:
        return os.fsencode(place) in command_line.read_bytes()
    except OSError:
        return False
