"""What all value objects share: frozen, closed to unknown keys; and the identifiers used throughout."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, PlainSerializer, StringConstraints

from snaphold.clock import format_time

IDENTIFIER_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$"
ACTION_PATTERN = r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$"

Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER_PATTERN)]
"""Safe in a file name, a tag, a log line and a comma-separated list."""

ActionName = Annotated[str, StringConstraints(pattern=ACTION_PATTERN)]


def _to_utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc)


Moment = Annotated[AwareDatetime, AfterValidator(_to_utc), PlainSerializer(format_time, return_type=str)]
"""An aware time, kept in UTC, written as RFC 3339 with milliseconds."""


class Value(BaseModel):
    """A value object: immutable, compared by content, refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)
