"""What all parts of a playbook's model share: frozen, closed to unknown keys, written under the keys of the file."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from snaphold.clock import Duration

LONGEST_WAIT = timedelta(days=30)
STEP_ID_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
FIELD_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
HANDLER_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
PLAYBOOK_NAME_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"


class Node(BaseModel):
    """A part of a playbook. Its keys are those of the file (`with`, `if`, `from`), read and written."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


def _bounded(length: timedelta) -> timedelta:
    if length <= timedelta(0):
        raise ValueError("must be longer than nothing")
    if length > LONGEST_WAIT:
        raise ValueError("is longer than 30d, the longest wait that a playbook may have")
    return length


Wait = Annotated[Duration, AfterValidator(_bounded)]
"""A length of time, more than nothing and at most 30 days."""

StepId = Annotated[str, StringConstraints(pattern=STEP_ID_PATTERN)]
FieldName = Annotated[str, StringConstraints(pattern=FIELD_PATTERN)]
HandlerName = Annotated[str, StringConstraints(pattern=HANDLER_PATTERN)]
PlaybookName = Annotated[str, StringConstraints(pattern=PLAYBOOK_NAME_PATTERN, max_length=100)]
