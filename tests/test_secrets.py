from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from snaphold import secrets
from snaphold.errors import InputError
from snaphold.secrets import HIDDEN, SecretReference, redact, remember, resolve, secret_path


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set[str]())


def test_a_variable_is_read_and_hidden_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPHOLD_TEST_SECRET", "correct horse/battery")
    assert resolve("env:SNAPHOLD_TEST_SECRET") == "correct horse/battery"
    assert redact("it says correct horse/battery!") == f"it says {HIDDEN}!"
    assert redact("https://x/?q=correct%20horse%2Fbattery") == f"https://x/?q={HIDDEN}"


def test_a_file_counts_from_the_base_and_loses_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("opensesame\r\n")
    (tmp_path / "key").chmod(0o600)
    assert resolve("file:key", tmp_path) == "opensesame"
    assert secret_path("file:key", tmp_path) == tmp_path / "key"
    assert secret_path("file:/abs/key", tmp_path) == Path("/abs/key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(mode: int, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("opensesame")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(InputError, match="can be read by others") as caught:
        resolve("file:key", tmp_path)
    assert "opensesame" not in str(caught.value)


def test_a_command_is_run_without_a_shell() -> None:
    assert resolve(f"command:{sys.executable} -c \"print('from a;command')\"") == "from a;command"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("env:SNAPHOLD_TEST_UNSET", "SNAPHOLD_TEST_UNSET is not set"),
        ("file:gone", "cannot be read"),
        ("file:empty", "is empty"),
        ("command:true", "printed nothing"),
        ("command:false", "exit code 1"),
        ("inline-password", "malformed"),
    ],
)
def test_a_secret_that_is_not_there_says_why(
    reference: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SNAPHOLD_TEST_UNSET", raising=False)
    (tmp_path / "empty").touch(mode=0o600)
    with pytest.raises(InputError) as caught:
        resolve(reference, tmp_path)
    assert message in str(caught.value)
    assert "inline-password" not in str(caught.value)


def test_only_references_are_taken_and_the_error_does_not_repeat_the_text() -> None:
    adapter: TypeAdapter[str] = TypeAdapter(SecretReference)
    for reference in ("env:NAME", "file:keys/a b", "command:pass show x"):
        assert adapter.validate_python(reference) == reference
    for text in ("hunter2-inline", "env:", "env:1BAD", "file:", "", "FILE:x"):
        with pytest.raises(ValidationError) as caught:
            adapter.validate_python(text)
        message = caught.value.errors(include_input=False)[0]["msg"]
        assert "never inline" in message
        assert not text or text not in message.replace("file:PATH", "").replace("env:NAME", "")


def test_only_a_file_can_be_asked_for_its_path() -> None:
    with pytest.raises(InputError, match="must be a file"):
        secret_path("env:NAME")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def.ghi",
        "password=hunter22",
        '{"api_key": "hunter22"}',
        "postgres://user:hunter22@db/x",
        "PASSWD: hunter22",
        "access-token='abc.def.ghi'",
    ],
)
def test_what_looks_like_a_credential_is_hidden(text: str) -> None:
    shown = redact(text)
    assert HIDDEN in shown
    assert "hunter22" not in shown
    assert "abc.def.ghi" not in shown


def test_plain_text_stays() -> None:
    for text in ("the password was wrong", "wrong password or no key found", "see https://example.org/a:b"):
        assert redact(text) == text


@given(st.text(min_size=4, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_a_remembered_secret_never_comes_through(secret: str, before: str, after: str) -> None:
    secrets._known.clear()
    remember(secret)
    assert not any(secret in part for part in redact(before + secret + after).split(HIDDEN))


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    remember("abcd")
    remember("abcdefgh")
    assert redact("abcdefgh") == HIDDEN


def test_secrets_of_three_letters_would_hide_ordinary_words() -> None:
    remember("the")
    assert redact("the end") == "the end"
