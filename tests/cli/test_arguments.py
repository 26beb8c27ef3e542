"""Options from an action's input model."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

import pytest
from pydantic import Field

from snaphold.action import Names, Request, Texts
from snaphold.cli.arguments import add_request_options, given_inputs
from snaphold.cli.parsers import Parser, parse
from snaphold.clock import Duration
from snaphold.errors import InputError


class Content(str, Enum):
    FULL = "full"
    INVENTORY = "inventory"


class Everything(Request):
    asset: str = Field(description="The asset.", examples=["orders-db"])
    assets: Names = Field(default=[], description="Several.", examples=[["orders-db", "files-01"]])
    notes: Texts = Field(default=["100% sure"], description="Notes.", examples=[["a"]])
    content: Content = Field(default=Content.FULL, description="How much.", examples=["full"])
    count: int = Field(default=3, description="How many.", examples=[3])
    share: float = Field(default=0.5, description="Share.", examples=[0.5])
    fast: bool = Field(default=False, description="Hurry.", examples=[True])
    lasts: Duration = Field(default=timedelta(days=7), description="How long.", examples=["7d"])
    limit: int | None = Field(default=None, description="Limit in KiB/s.", examples=[1024])


def read(*words: str) -> Everything:
    parser = Parser(prog="snaphold do everything")
    parser.set_defaults(reached=parser)
    add_request_options(parser, Everything, frozenset())
    return Everything.model_validate(given_inputs(parse(parser, list(words))))


def test_what_is_left_out_keeps_the_default_of_the_model() -> None:
    assert read("--asset", "a") == Everything(asset="a")


def test_every_kind_of_value_is_read() -> None:
    words = ["--content", "inventory", "--count", "7", "--share", "0.25", "--fast", "--lasts", "2h", "--limit", "9"]
    expected = Everything(asset="a", content=Content.INVENTORY, count=7, share=0.25, fast=True, lasts=timedelta(hours=2), limit=9)
    assert read("--asset", "a", *words) == expected


def test_a_boolean_can_be_taken_back() -> None:
    assert read("--asset", "a", "--fast", "--no-fast").fast is False


def test_a_list_takes_commas_and_repetition() -> None:
    assert read("--asset", "a", "--assets", "x, y", "--assets", "z").assets == ["x", "y", "z"]


def test_an_empty_list_can_be_given() -> None:
    assert read("--asset", "a", "--notes", "").notes == []


@pytest.mark.parametrize(
    ("words", "what", "why"),
    [
        ([], "the following arguments are required: --asset", None),
        (["--asset", "a", "--conten", "full"], "snaphold do everything has no option --conten", 'did you mean "--content"?'),
        (["--asset", "a", "--content", "ful"], "--content cannot be 'ful'", 'did you mean "full"?'),
        (["--asset", "a", "b"], "snaphold do everything does not take 'b'", "it is one word too many"),
    ],
)
def test_a_mistake_is_answered_with_the_nearest_word(words: list[str], what: str, why: str | None) -> None:
    with pytest.raises(InputError) as caught:
        read(*words)
    assert (caught.value.what, caught.value.why, caught.value.do) == (what, why, "snaphold do everything --help")


def test_the_help_names_defaults_and_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    parser = Parser(prog="snaphold")
    add_request_options(parser, Everything, frozenset({"limit"}))
    shown = parser.format_help()
    assert "--asset TEXT" in shown
    assert "The asset; e.g. orders-db" in shown
    assert "Notes; default 100% sure; commas or repeat the option" in shown
    assert "--content full|inventory" in shown
    assert "How long; default 7d" in shown
    assert "SUPPRESS" not in shown
    assert "--limit" not in shown
