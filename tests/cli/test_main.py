"""The entry point: exit codes, errors on one screen, streams that are closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snaphold.cli import main as entry_point
from snaphold.cli.commands import COMMANDS
from snaphold.cli.main import main
from snaphold.errors import ConfigurationError, NotAuthorisedError, Problem


def snaphold(*words: str, **settings: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "snaphold", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False, **settings)  # type: ignore[call-overload]


def break_command(monkeypatch: pytest.MonkeyPatch, fault: BaseException) -> None:
    def fail(_words: list[str]) -> int:
        raise fault

    monkeypatch.setattr(entry_point, "_run", fail)


def test_no_command_prints_the_help_and_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: snaphold" in capsys.readouterr().out


def test_a_command_without_its_subcommand_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["actions", "--json"]) == 2
    assert "usage: snaphold actions" in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("snaphold 0.")


def test_every_command_stands_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n  {name}  " not in shown] == []


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidnce"]) == 2
    assert capsys.readouterr().err == (
        "error: snaphold has no command 'evidnce'\n  why: did you mean \"evidence\"?\n  do: snaphold --help\n"
    )


def test_an_option_is_never_guessed_from_a_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["actions", "list", "--js"]) == 2
    assert 'did you mean "--json"?' in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--json", "actions", "list"], ["actions", "--json", "list"], ["actions", "list", "--json"]])
def test_json_may_stand_anywhere(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert "actions" in json.loads(capsys.readouterr().out)


def test_a_usage_error_is_json_when_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["actions", "list", "extra", "--json"]) == 2
    error = json.loads(capsys.readouterr().err)
    assert error["message_type"] == "exit_error"
    assert error["code"] == 2


def test_an_error_of_the_product_decides_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_command(monkeypatch, NotAuthorisedError("no", "because", "ask ana"))
    assert main(["audit"]) == 4
    assert capsys.readouterr().err == "error: no\n  why: because\n  do: ask ana\n"


def test_hundreds_of_faults_still_fit_on_one_screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(f"fault {number} " + "x" * 90) for number in range(500)]
    break_command(monkeypatch, ConfigurationError("the file has faults", problems, "mend it"))
    assert main(["audit"]) == 2
    shown = capsys.readouterr().err
    assert sum(-(-len(line) // 80) for line in shown.splitlines()) <= 24
    assert "more lines; --json shows all" in shown
    assert shown.endswith("  do: mend it\n")


def test_an_error_cannot_move_the_cursor_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_command(monkeypatch, NotAuthorisedError("evil \x1b[2J name\r"))
    assert main(["audit"]) == 4
    assert capsys.readouterr().err == "error: evil \\x1b[2J name\\r\n"


def test_an_unforeseen_fault_keeps_its_traceback_in_a_private_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    break_command(monkeypatch, KeyError("password=hunter22"))
    assert main(["audit"]) == 1
    shown = capsys.readouterr().err
    [log] = tmp_path.iterdir()
    assert str(log) in shown
    assert "Traceback" not in shown
    assert "hunter22" not in shown
    assert log.stat().st_mode & 0o777 == 0o600
    assert "Traceback" in log.read_text()
    assert "hunter22" not in log.read_text()


@pytest.mark.parametrize(("package", "extra"), [("sqlalchemy", "run"), ("dbos", "run"), ("rfc3161_client", "evidence")])
def test_a_missing_optional_package_names_the_command_that_installs_it(
    package: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_command(monkeypatch, ModuleNotFoundError(f"No module named '{package}.orm'", name=f"{package}.orm"))
    assert main(["audit"]) == 1
    assert f"do: pip install 'snaphold[{extra}]'" in capsys.readouterr().err


def test_a_full_disk_that_nobody_caught_is_told_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_command(monkeypatch, OSError(28, os.strerror(28), "/var/lib/x"))
    assert main(["audit"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == "error: /var/lib/x cannot be read or written"


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    break_command(monkeypatch, KeyboardInterrupt())
    assert main(["audit"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_early_is_no_traceback(unbuffered: str) -> None:
    command = f"PYTHONUNBUFFERED={unbuffered} {sys.executable} -m snaphold --help | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=240, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_traceback(closed: str) -> None:
    command = f"{sys.executable} -m snaphold completion nosuchshell {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--help", "--version", "actions list"])
def test_output_to_a_full_disk_is_a_failure(words: str, unbuffered: str) -> None:
    command = f"PYTHONUNBUFFERED={unbuffered} {sys.executable} -m snaphold {words} > /dev/full"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error: the output cannot be read or written"
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_the_help_loads_nothing_heavy() -> None:
    code = "import sys; from snaphold.cli.main import main; main(['--help']); print(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    loaded = set(done.stderr.split())
    assert "snaphold.cli.main" in loaded
    assert loaded & {"sqlalchemy", "dbos", "cryptography", "requests", "stix2", "jsonschema", "pydantic", "yaml"} == set()
