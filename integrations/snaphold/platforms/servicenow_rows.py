"""ServiceNow's answers in typed shapes: rows of cells that come as text, as a reference or with their display value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from snaphold.errors import InputError, NotAuthorisedError, ProviderError, SnapholdError
from snaphold.http import Answer
from snaphold.http_policy import SERVICENOW, asked_wait
from snaphold.http_session import kept_text

SYS_ID = re.compile(r"[0-9a-f]{32}")
NUMBER = re.compile(r"[A-Z]{2,10}[0-9]{3,20}")
_QUERY_SIGNS = re.compile(r"[\^\r\n\t]")
META = "__meta"
_WHOLE_AS_FLOAT = re.compile(r"-?[0-9]+\.0")


class Cell(BaseModel):
    """One field of a row: its stored value and what a person is shown."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    value: str = ""
    shown: str = ""


def _read_cell(given: Any) -> Any:
    if isinstance(given, (Cell, type(None))):
        return given or Cell()
    if isinstance(given, dict):
        parts = cast("dict[str, Any]", given)
        if "value" not in parts and "display_value" not in parts:
            raise ValueError("is neither a value nor a reference")
        value = _text(parts.get("value", ""))
        return Cell(value=value, shown=_text(parts.get("display_value", value)))
    if isinstance(given, (str, int, float, bool)):
        return Cell(value=_text(given), shown=_text(given))
    raise ValueError("is neither a value nor a reference")


def _text(value: Any) -> str:
    """Return a value as the Table API writes it; the Change API sends numbers such as 3.0 and true."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    return text[:-2] if isinstance(value, float) and _WHOLE_AS_FLOAT.fullmatch(text) else text


Row = dict[str, Annotated[Cell, BeforeValidator(_read_cell)]]


def cell(row: Row, field: str) -> Cell:
    """Return a field of a row; an empty one when access control has left it out."""
    return row.get(field) or Cell()


class RowList(BaseModel):
    """The answer to a query."""

    result: list[Row]


class OneRow(BaseModel):
    """The answer about one row."""

    result: Row


class ChangeAnswer(BaseModel):
    """A change; the documentation shows a list of one, a recorded answer the thing itself."""

    row: Row
    ignored: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, given: Any) -> Any:
        """Take the change out of its wrapping, and the names of ignored fields out of the change."""
        inner: Any = cast("dict[str, Any]", given).get("result") if isinstance(given, dict) else None
        if isinstance(inner, list):
            several = cast("list[Any]", inner)
            inner = several[0] if len(several) == 1 else None
        if not isinstance(inner, dict) or "sys_id" not in inner:
            raise ValueError("holds no single change")
        fields = dict(cast("dict[str, Any]", inner))
        meta: Any = fields.pop(META, None) or {}
        return {"row": fields, "ignored": tuple(cast("dict[str, Any]", meta).get("ignoredFields", ()))}


class _WorkerPlace(BaseModel):
    sys_id: str = Field(alias="sysId", pattern=r"^[0-9a-f]{32}$")


class _WorkerMessages(BaseModel):
    errors: list[str] = Field(default_factory=list[str], alias="errorMessages")


class Worker(BaseModel):
    """Slow work that goes on at ServiceNow."""

    worker: _WorkerPlace
    state: Annotated[Cell, BeforeValidator(_read_cell)]
    messages: _WorkerMessages = _WorkerMessages()


class WorkerAnswer(BaseModel):
    """The answer of a slow call, and of asking after it."""

    result: Worker


class NextStates(BaseModel):
    """Into which states a change may go now."""

    available_states: list[str]


class NextStatesAnswer(BaseModel):
    """The answer of nextstates."""

    result: NextStates


class Relation(BaseModel):
    """A relation of a configuration item to another."""

    type: Annotated[Cell, BeforeValidator(_read_cell)]
    target: Annotated[Cell, BeforeValidator(_read_cell)]


class Instance(BaseModel):
    """A configuration item with the relations in which it is the parent."""

    attributes: Row
    outbound_relations: list[Relation] = []


class InstanceAnswer(BaseModel):
    """The answer of the CMDB."""

    result: Instance


class Token(BaseModel):
    """What a sign-in gives."""

    access_token: str = Field(min_length=1)
    refresh_token: str = ""
    expires_in: int = Field(ge=0)


class _Told(BaseModel):
    message: str = ""
    detail: str | None = None


class _ErrorAnswer(BaseModel):
    error: _Told | str
    error_description: str = ""


def encoded_query(conditions: Mapping[str, str], *, containing: Mapping[str, str] | None = None) -> str:
    """Return a query for rows that meet all conditions, in a stable order. Raises InputError for what would change it."""
    parts = [(field, "=", value) for field, value in conditions.items()]
    parts += [(field, "LIKE", value) for field, value in (containing or {}).items()]
    for field, _, value in parts:
        if not value or _QUERY_SIGNS.search(value):
            raise InputError(f"ServiceNow cannot be asked for {field} {value!r}", "it is empty or holds ^ or a line break")
    return "^".join([*(f"{field}{sign}{value}" for field, sign, value in parts), "ORDERBYsys_id"])


def refusal(answer: Answer, what: str) -> SnapholdError:
    """Return the error for an answer that is no success; nothing happened, or only reading failed."""
    why = f"HTTP status {answer.status}: {_told(answer)}"
    if answer.status == 401:  # noqa: PLR2004  the number is its own best name
        return NotAuthorisedError(f"ServiceNow does not accept the sign-in ({what})", why, "check user, password and client")
    if answer.status == 403:  # noqa: PLR2004
        return NotAuthorisedError(f"ServiceNow does not allow {what}", why, "give the integration's user the role for it")
    if answer.status == 404:  # noqa: PLR2004
        return InputError(f"ServiceNow knows nothing of {what}", why, "check it; it may also be hidden from the user")
    if answer.status == 429:  # noqa: PLR2004
        wait = asked_wait(answer.headers, SERVICENOW.resets)
        when = f"in {wait:.0f} s" if wait is not None else "later"
        return ProviderError(f"ServiceNow takes no more calls now ({what})", why, f"try again {when}", retryable=True)
    return ProviderError(f"ServiceNow refuses {what}", why, "look at its system log", retryable=answer.status >= 500)  # noqa: PLR2004


def _told(answer: Answer) -> str:
    try:
        told = _ErrorAnswer.model_validate_json(answer.body)
    except ValidationError:
        return kept_text(answer)[:200]
    if isinstance(told.error, str):
        return f"{told.error} {told.error_description}".strip()[:500]
    return "; ".join(part for part in (told.error.message, told.error.detail) if part)[:500]
