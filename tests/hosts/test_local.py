from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from snaphold.errors import MissingToolError, SnapholdError, StorageError, TimedOutError
from snaphold.hosts import local
from snaphold.hosts.local import run_command
from support.waiting import has_ended, wait_for


def test_output_and_code_come_back() -> None:
    done = run_command(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.code, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_standard_input_is_closed_unless_something_is_given() -> None:
    assert run_command(["cat"], timeout=240).stdout == ""
    assert run_command(["cat"], given="a secret").stdout == "a secret"


def test_a_child_that_does_not_read_its_input_is_no_fault() -> None:
    assert run_command(["true"], given="x" * 1000).code == 0


def test_watchers_see_the_lines_of_their_stream() -> None:
    seen: dict[str, list[str]] = {"out": [], "err": []}
    done = run_command(
        ["sh", "-c", "echo 1; echo 2 >&2"], on_line=seen["out"].append, on_error_line=seen["err"].append, keep_output=False
    )
    assert seen == {"out": ["1"], "err": ["2"]}
    assert (done.stdout, done.stderr) == ("", "")


def test_a_watched_stream_that_is_not_kept_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "OUTPUT_LIMIT_BYTES", 100)
    lines: list[str] = []
    printing = ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo twelve bytes; done"]
    assert run_command(printing, on_line=lines.append, keep_output=False).code == 0
    assert len(lines) == 9
    with pytest.raises(SnapholdError, match="more than"):
        run_command(printing)


def test_a_descriptor_that_is_kept_open_reaches_the_child(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        code = f"import os; os.write({descriptor}, b'x')"
        assert run_command([sys.executable, "-c", code]).code != 0
        assert run_command([sys.executable, "-c", code], keep_open=[descriptor]).code == 0
    finally:
        os.close(descriptor)


def test_a_child_that_hangs_is_killed_at_the_deadline() -> None:
    with pytest.raises(TimedOutError, match="sleep"):
        run_command(["sleep", "600"], timeout=0.1)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(MissingToolError, match="no-such-program"):
        run_command(["no-such-program"])


def test_the_whole_group_ends_at_the_deadline_not_only_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "grandchild"
    start = local._start

    def start_both(*given: Any, **named: Any) -> subprocess.Popen[bytes]:
        """Let the time count once the grandchild is there: a busy machine may need longer for it than the deadline."""
        child = start(*given, **named)
        wait_for(lambda: note.exists() and note.read_text().endswith("\n"))
        return child

    monkeypatch.setattr(local, "_start", start_both)
    with pytest.raises(TimedOutError) as caught:
        run_command(["sh", "-c", f"sleep 600 & echo $! > {note}; wait"], timeout=0.5)
    assert caught.value.exit_code == 6
    grandchild = int(note.read_text())
    wait_for(lambda: has_ended(grandchild))


def test_a_killed_child_that_the_system_does_not_let_go_is_told_as_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for a dead disk ends only when the disk answers: the kill is asked for, and nobody waits for ever."""
    monkeypatch.setattr(local, "_KILL_GRACE_SECONDS", 0.1)
    kill = os.killpg
    groups: list[int] = []

    def unheard(group: int, _signal: int) -> None:
        groups.append(group)

    monkeypatch.setattr(os, "killpg", unheard)
    try:
        with pytest.raises(TimedOutError, match="was killed"):
            run_command(["sleep", "600"], timeout=0.1)
    finally:
        for group in groups:
            kill(group, signal.SIGKILL)
    assert len(groups) == 1
    wait_for(lambda: has_ended(groups[0]))


def test_what_was_printed_is_read_to_its_end_however_long_that_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_KILL_GRACE_SECONDS", 0.05)
    seen: list[str] = []

    def ponder(line: str) -> None:
        time.sleep(0.2)
        seen.append(line)

    done = run_command(["sh", "-c", "echo 1; echo 2; echo 3"], timeout=240, on_line=ponder)
    assert (seen, done.stdout) == (["1", "2", "3"], "1\n2\n3\n")


def test_a_program_that_the_child_leaves_behind_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_KILL_GRACE_SECONDS", 1.0)
    done = run_command(["sh", "-c", "sleep 600 & echo $!"], timeout=600)
    left_behind = int(done.stdout)
    assert not has_ended(left_behind)
    os.kill(left_behind, signal.SIGKILL)


def test_a_child_that_prints_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "OUTPUT_LIMIT_BYTES", 10_000)
    with pytest.raises(SnapholdError, match="printed more than 10000 bytes"):
        run_command(["yes"], timeout=240)


def test_the_environment_is_added_to_and_messages_are_not_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPHOLD_TEST_KEPT", "kept")
    script = 'echo "$SNAPHOLD_TEST_KEPT $SNAPHOLD_TEST_ADDED $LC_ALL"'
    done = run_command(["sh", "-c", script], environment={"SNAPHOLD_TEST_ADDED": "a b;c"})
    assert done.stdout == "kept a b;c C.UTF-8\n"
    assert "SNAPHOLD_TEST_ADDED" not in os.environ


def test_nothing_is_expanded_by_a_shell() -> None:
    assert run_command(["echo", "$HOME", "*", "; true", "`id`"]).stdout == "$HOME * ; true `id`\n"


def test_a_folder_that_does_not_exist_and_a_file_that_is_no_program_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        run_command(["true"], directory=tmp_path / "gone")
    with pytest.raises(StorageError, match="could not be started") as caught:
        run_command([str(tmp_path)])
    assert caught.value.why == "Permission denied"


def test_bytes_that_are_no_text_are_shown_not_fatal() -> None:
    assert run_command(["printf", r"a\377b"]).stdout == "a\ufffdb"
