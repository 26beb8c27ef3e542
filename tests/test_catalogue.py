"""What must hold for every action, checked over the whole catalogue."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest

from snaphold.action import AnyAction, Effect, Recovery, catalogue
from snaphold.cli.commands.do import RESERVED, SHARED
from snaphold.domain.outcome import Outcome
from snaphold.domain.value import ACTION_PATTERN
from snaphold.fields import fields_of, schema_of
from snaphold.targets.docs import example_command

EVERY = list(catalogue().values())
NOUNS = frozenset({"status", "summary"})
"""The last words that are not verbs and still plain: what they do is to show."""
VERBS = frozenset(
    {
        "acknowledge",
        "add",
        "ask",
        "check",
        "classify",
        "close",
        "compare",
        "cover",
        "delete",
        "end",
        "extend",
        "halt",
        "hold",
        "issue",
        "mark",
        "next",
        "notify",
        "open",
        "order",
        "place",
        "promote",
        "publish",
        "read",
        "reconcile",
        "release",
        "report",
        "restore",
        "revoke",
        "seal",
        "set",
        "show",
        "start",
        "synchronise",
        "tighten",
        "verify",
    }
)  # fmt: skip  a new verb is added here on purpose
SECOND_HOMES = {"backup": "publication", "change": "change_cover"}
"""Modules that hold further actions of a subject, because one module would get too long."""
PERSON_DECIDES = frozenset[str]()
"""Actions that write and neither look up nor repeat safely. Each needs a reason in its docstring ("cannot be looked up")."""


@pytest.fixture(params=EVERY, ids=[entry.name for entry in EVERY])
def entry(request: pytest.FixtureRequest) -> AnyAction:
    return request.param


def test_the_name_is_a_subject_and_a_verb(entry: AnyAction) -> None:
    assert re.fullmatch(ACTION_PATTERN, entry.name)
    subject, _, last = entry.name.partition(".")
    assert last.split("_")[0] in VERBS | NOUNS, f"{last} does not start with a known verb"
    homes = {subject, SECOND_HOMES.get(subject, subject)}
    assert entry.function.__module__ in {f"snaphold.actions.{home}" for home in homes}


def test_title_and_docstring_say_what_comes_back(entry: AnyAction) -> None:
    assert entry.title
    assert entry.title[0].isupper()
    assert not entry.title.endswith(".")
    assert len(entry.title) <= 70
    assert entry.description.endswith((".", "`"))


def test_every_field_is_flat_described_and_has_an_example(entry: AnyAction) -> None:
    for model in (entry.request, entry.result):
        for shape in fields_of(model):
            where = f"{model.__name__}.{shape.name}"
            assert re.fullmatch(r"[a-z][a-z0-9_]*", shape.name), where
            assert shape.description.rstrip().endswith((".", ")")), f"{where} needs a description that is a sentence"
            assert shape.examples, f"{where} needs an example"


def test_the_examples_of_the_input_are_valid(entry: AnyAction) -> None:
    schema = schema_of(entry.request)
    for number in range(max((len(shape.examples) for shape in fields_of(entry.request)), default=1)):
        given = {shape.name: shape.examples[min(number, len(shape.examples) - 1)] for shape in fields_of(entry.request)}
        entry.request.model_validate(given)
        jsonschema.validate(given, schema)


def test_the_defaults_of_the_input_are_valid(entry: AnyAction) -> None:
    shapes = fields_of(entry.request)
    given = {shape.name: shape.examples[0] if shape.required else shape.default for shape in shapes}
    entry.request.model_validate(given)
    jsonschema.validate(given, schema_of(entry.request))


def test_the_example_of_the_result_is_valid_and_complete(entry: AnyAction) -> None:
    assert entry.result.model_fields["outcome"].annotation is Outcome
    result = entry.example_result()
    jsonschema.validate(result.model_dump(mode="json"), schema_of(entry.result, "serialization"))
    assert entry.result.model_validate(result.model_dump(mode="json")) == result


def test_no_input_hides_an_option_of_the_command(entry: AnyAction) -> None:
    assert RESERVED.isdisjoint(entry.request.model_fields)
    if SHARED in entry.request.model_fields:
        assert entry.effect is not Effect.READS


def test_key_fields_are_inputs(entry: AnyAction) -> None:
    assert set(entry.key_fields) <= set(entry.request.model_fields)


def test_what_writes_can_be_repeated_or_says_why_not(entry: AnyAction) -> None:
    if entry.effect is Effect.READS:
        return
    if entry.recovery is Recovery.PERSON:
        assert entry.name in PERSON_DECIDES
        assert "cannot be looked up" in entry.description


def test_the_function_is_only_tagged(entry: AnyAction) -> None:
    assert entry.function.__name__ == entry.function.__qualname__
    assert not hasattr(entry.function, "__wrapped__")


def test_the_example_command_is_parsed_by_the_real_parser(entry: AnyAction) -> None:
    import shlex

    from snaphold.cli.arguments import given_inputs
    from snaphold.cli.main import build_parser
    from snaphold.cli.parsers import parse

    parsed = parse(build_parser("do"), shlex.split(example_command(entry))[1:])
    given = given_inputs(parsed)
    if SHARED in entry.request.model_fields:
        given[SHARED] = parsed.justification
    entry.request.model_validate(given)


FIRST_SLICE = {
    "authority": {"check_emergency", "revoke_grant"},
    "backup": {"check_capacity", "check_health", "start", "status", "verify"},
    "evidence": {"compare", "seal", "verify"},
    "hold": {"place"},
    "report": {"summary"},
    "triage": {"classify_assets", "order_by_dependency", "promote_asset"},
}


def test_actions_of_the_first_slice_are_all_there() -> None:
    expected = {f"{subject}.{verb}" for subject, verbs in FIRST_SLICE.items() for verb in verbs}
    assert expected - set(catalogue()) == set()


def test_every_module_of_actions_holds_one() -> None:
    import snaphold.actions

    folder = Path(snaphold.actions.__path__[0])
    modules = {f"snaphold.actions.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"}
    assert modules == {entry.function.__module__ for entry in EVERY}
