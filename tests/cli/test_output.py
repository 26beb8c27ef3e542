"""What the writer prints for people and for programs."""

from __future__ import annotations

import io
import json

import pytest

from snaphold.cli.output import Writer, details, table
from snaphold.secrets import remember


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(text: str, *, as_json: bool = False, terminal: bool = True) -> str:
    stream = Terminal() if terminal else io.StringIO()
    writer = Writer(as_json=as_json, stdout=stream, stderr=io.StringIO())
    writer.document({"outcome": writer.mark("failed"), "name": text}, f"{writer.mark('failed')} {text}")
    return stream.getvalue()


def test_outcomes_are_coloured_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert written("x") == "\x1b[31mfailed\x1b[0m x\n"


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert written("x") == "failed x\n"


def test_nothing_is_coloured_in_a_pipe_or_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert written("x", terminal=False) == "failed x\n"
    assert json.loads(written("x", as_json=True)) == {"outcome": "failed", "name": "x"}


@pytest.mark.parametrize("evil", ["\x1b[2J", "\x1b]0;title\x07", "\x1b[32mfine\x1b[0m", "\u202e", "a\rb", "\x9b1A"])
def test_names_from_outside_cannot_steer_a_terminal(evil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = written(evil).removeprefix("\x1b[31mfailed\x1b[0m").rstrip("\n")
    assert shown.isprintable(), repr(shown)


def test_a_name_that_is_not_utf8_is_shown_and_not_fatal() -> None:
    assert written("a\udcff", terminal=False) == "failed a\\udcff\n"


def test_a_stream_that_knows_only_ascii_still_shows_the_result() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Writer(stdout=stream, stderr=io.StringIO()).document({}, "Ordnergröße 日本")
    stream.seek(0)
    assert stream.read() == "Ordnergr\\xf6\\xdfe \\u65e5\\u672c\n"


def test_secrets_are_hidden_in_results_notes_and_json() -> None:
    remember("correct-horse-battery")
    out, err = io.StringIO(), Terminal()
    for as_json in (True, False):
        writer = Writer(as_json=as_json, stdout=out, stderr=err)
        writer.document({"x": "correct-horse-battery"}, "correct-horse-battery")
        writer.note("correct-horse-battery")
        writer.progress("correct-horse-battery")
    assert "correct-horse" not in out.getvalue() + err.getvalue()


def test_progress_is_shown_on_terminals_only() -> None:
    err = io.StringIO()
    Writer(stdout=io.StringIO(), stderr=err).progress("working")
    assert err.getvalue() == ""


def test_long_commands_print_one_json_object_a_line() -> None:
    out = io.StringIO()
    Writer(as_json=True, stdout=out, stderr=io.StringIO()).event("status", {"step": "a"}, "a")
    assert json.loads(out.getvalue()) == {"message_type": "status", "step": "a"}


def test_columns_line_up_with_marks_and_wide_letters() -> None:
    marked = "\x1b[32mdone\x1b[0m"
    shown = table(("a", "b", "c"), [(marked, "日本", "x"), ("waiting", "ab", "y\nz")])
    assert shown == "A        B     C\n" + marked + "     日本  x\nwaiting  ab    y z"


def test_an_empty_table_says_so() -> None:
    assert table(("a",), []) == "(none)"


def test_details_keep_their_column_over_several_lines() -> None:
    assert details([("outcome", "ok"), ("findings", "one\ntwo"), ("x", "")]) == "outcome   ok\nfindings  one\n          two\nx"
