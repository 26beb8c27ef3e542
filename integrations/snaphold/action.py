"""`@action` and the catalogue: the whole extension surface on one screen.

Write a function that takes a `Request` and a `Context` and returns a `Result`, tag it with `@action`, and put the file
in `actions/`. The CLI subcommand, the JSON Schema and the reference page follow from it; nothing else is edited.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from types import FunctionType
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from snaphold.domain.outcome import Outcome
from snaphold.domain.value import IDENTIFIER_PATTERN
from snaphold.errors import InputError

if TYPE_CHECKING:
    from snaphold.context import Context


class Effect(str, Enum):
    """What an action does to the world. `destroys` always needs a grant and a second person."""

    READS = "reads"
    WRITES = "writes"
    DESTROYS = "destroys"


class Needs(str, Enum):
    """What must be reachable: nothing, the ledger, a backup provider, a host, or a platform."""

    NOTHING = "nothing"
    LEDGER = "ledger"
    PROVIDER = "provider"
    HOST = "host"
    PLATFORM = "platform"


class Recovery(str, Enum):
    """What makes a second attempt safe after the first one was lost between its effect and its record.

    `looks_up`: the action first asks the outside world whether its key already started. `idempotent`: doing it again
    changes nothing. `person`: neither; the outcome is unknown and a person decides.
    """

    LOOKS_UP = "looks_up"
    IDEMPOTENT = "idempotent"
    PERSON = "person"


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Name = Annotated[str, StringConstraints(pattern=IDENTIFIER_PATTERN)]
Names = Annotated[list[Name], BeforeValidator(_split)]
"""A list of identifiers; text with commas is taken apart, because both SOARs pass text."""
Texts = Annotated[list[str], BeforeValidator(_split)]
"""A list of short texts without commas; text with commas is taken apart."""


class Request(BaseModel):
    """An action's input: flat (scalars, enums, lists of text), every field described and with an example."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Result(BaseModel):
    """An action's output. `findings` are sentences for people; a finding never hides in a successful outcome."""

    model_config = ConfigDict(extra="forbid")

    outcome: Outcome = Field(description="succeeded, partial, failed or unknown.", examples=["succeeded"])
    findings: list[str] = Field(default_factory=list, description="What a person should know.", examples=[[]])


RequestType = TypeVar("RequestType", bound=Request)
ResultType = TypeVar("ResultType", bound=Result)
ActionFunction = Callable[[Any, "Context"], Result]
TAG = "__snaphold_action__"


@dataclass(frozen=True)
class Action(Generic[RequestType, ResultType]):
    """One entry of the catalogue. `key_fields` are the inputs that tell two uses of it in one step apart; `console` says
    where a person does the same in a vendor's own console, for the printed runbook.
    """

    name: str
    title: str
    effect: Effect
    needs: Needs
    recovery: Recovery
    key_fields: tuple[str, ...]
    function: Callable[[RequestType, Context], ResultType]
    request: type[RequestType]
    result: type[ResultType]
    console: str = ""

    @property
    def description(self) -> str:
        """The docstring of the function, with line breaks folded."""
        return " ".join((self.function.__doc__ or "").split())

    def example_result(self) -> ResultType:
        """Return a result made of the fields' examples, as a dry run shows it."""
        filled = {
            name: info.examples[0]
            for name, info in self.result.model_fields.items()
            if info.examples and info.examples[0] is not None
        }
        return self.result.model_validate(filled)


AnyAction = Action[Any, Any]
Function = TypeVar("Function", bound=Callable[..., Result])


def action(
    name: str,
    *,
    title: str,
    effect: Effect,
    needs: Needs = Needs.LEDGER,
    recovery: Recovery = Recovery.PERSON,
    key_fields: tuple[str, ...] = (),
    console: str = "",
) -> Callable[[Function], Function]:
    """Tag a function as the action `name`. The function itself is returned unchanged, so tests call it directly."""

    def tag(function: Function) -> Function:
        function.__dict__[TAG] = {
            "name": name,
            "title": title,
            "effect": effect,
            "needs": needs,
            "recovery": recovery,
            "key_fields": key_fields,
            "console": console,
        }
        return function

    return tag


def describe(function: Callable[..., Result]) -> AnyAction:
    """Return the catalogue entry of a tagged function; its models come from the function's own signature."""
    import snaphold.context

    hints = get_type_hints(function, localns={"Context": snaphold.context.Context}, include_extras=True)
    return Action(function=function, request=hints["request"], result=hints["return"], **getattr(function, TAG))


@cache
def catalogue() -> Mapping[str, AnyAction]:
    """Return every action by name, in order of name. Raises ValueError when two have one name."""
    import snaphold.actions

    found: dict[str, AnyAction] = {}
    for module_info in pkgutil.iter_modules(snaphold.actions.__path__, "snaphold.actions."):
        module = importlib.import_module(module_info.name)
        for value in vars(module).values():
            if isinstance(value, FunctionType) and hasattr(value, TAG) and value.__module__ == module.__name__:
                entry = describe(value)
                if entry.name in found:
                    raise ValueError(f"two actions are called {entry.name}")
                found[entry.name] = entry
    return dict(sorted(found.items()))


_exercised: list[Mapping[str, AnyAction]] = []


def exercise_with(actions: Mapping[str, AnyAction] | None) -> None:
    """Have this process act with other actions, for a drill; None ends it."""
    _exercised[:] = [] if actions is None else [actions]


def find_action(name: str) -> AnyAction:
    """Return the action called `name`. Raises InputError with the nearest name when there is none."""
    from snaphold.validation import suggest

    known = _exercised[0] if _exercised else catalogue()
    if name not in known:
        raise InputError(f"there is no action {name!r}", suggest(name, list(known)) or None, "snaphold actions list")
    return known[name]
