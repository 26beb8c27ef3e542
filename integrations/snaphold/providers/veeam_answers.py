"""Veeam's answers in typed shapes.

The vendor's own examples break its schema: words in another case, nulls, times without a zone. So words are compared
without their case, null means absent, and a time without a zone stays naive until the server's offset is known.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from snaphold.errors import InputError, NotAuthorisedError, ProviderError, SnapholdError
from snaphold.http import Answer
from snaphold.http_session import kept_text

GIB = 1024**3
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FRACTION = re.compile(r"\.([0-9]+)")


def _read_time(given: Any) -> Any:
    """Return a time, naive when it carries no zone. Fractions of a second may be longer than Python reads."""
    if not isinstance(given, str):
        return given
    text = _FRACTION.sub(lambda match: "." + match[1][:6].ljust(6, "0"), given.strip())
    return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)


Time = Annotated[datetime, BeforeValidator(_read_time)]
Word = Annotated[str, BeforeValidator(lambda given: given.lower() if isinstance(given, str) else given)]
"""A word of one of Veeam's lists, in lower case."""


class Shape(BaseModel):
    """What is read of an answer; everything else of it is left aside."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Token(Shape):
    """What a sign-in gives."""

    access_token: str = Field(min_length=1)
    refresh_token: str = ""
    expires_in: int = Field(ge=0)


class ServerInfo(Shape):
    """Which server it is."""

    name: str
    build: str = Field(alias="buildVersion")


class ServerTime(Shape):
    """The server's clock."""

    time: Time = Field(alias="serverTime")


class Paging(Shape):
    """How many there are in all."""

    total: int


class Page(Shape):
    """One page of a list; each item is read apart, because some lists hold several kinds."""

    data: list[dict[str, Any]]
    pagination: Paging


class Result(Shape):
    """How a session ended."""

    result: Word = "none"
    message: str | None = None
    cancelled: bool | None = Field(default=None, alias="isCanceled")


class Progress(Shape):
    """How far a session is, in bytes."""

    processed: int | None = Field(default=None, alias="processedSize")
    transferred: int | None = Field(default=None, alias="transferredSize")


class Started(Shape):
    """What a call that starts something answers, where only that matters."""

    id: str


class SessionAnswer(Shape):
    """A run of a job or of another piece of work."""

    id: str
    name: str
    job: str = Field(alias="jobId")
    created: Time = Field(alias="creationTime")
    state: Word
    result: Result | None = None
    percent: int | None = Field(default=None, alias="progressPercent")


class TaskSession(Shape):
    """One machine's part of a session."""

    id: str
    name: str
    result: Result | None = None
    progress: Progress | None = None
    restore_point: str | None = Field(default=None, alias="restorePointId")


class LogRecord(Shape):
    """A line of a session's log."""

    status: Word | None = None
    started: Time | None = Field(default=None, alias="startTime")
    title: str | None = None
    description: str | None = None


class Log(Shape):
    """The log of a session."""

    records: list[LogRecord] = []


class JobAnswer(Shape):
    """What is read of a job; where a job is changed, the whole document goes back."""

    id: str
    name: str
    description: str = ""


class PointAnswer(Shape):
    """A restore point of one machine."""

    id: str
    name: str
    created: Time = Field(alias="creationTime")
    backup: str = Field(alias="backupId")
    session: str | None = Field(default=None, alias="sessionId")
    file: str | None = Field(default=None, alias="backupFileId")
    malware: Word | None = Field(default=None, alias="malwareStatus")
    size: int | None = Field(default=None, alias="originalSize")


class BackupAnswer(Shape):
    """A chain of backup files in one repository."""

    id: str
    name: str
    repository: str = Field(alias="repositoryId")
    job: str | None = Field(default=None, alias="jobId")


class BackupFile(Shape):
    """A file of a backup."""

    id: str
    size: int = Field(alias="backupSize")


class BackupObject(Shape):
    """A machine as it lies in backups."""

    id: str
    name: str = ""


class RepositoryState(Shape):
    """A repository as it stands."""

    id: str
    name: str
    capacity: float = Field(alias="capacityGB")
    free: float = Field(alias="freeGB")
    online: bool = Field(alias="isOnline")


class InventoryItem(Shape):
    """A machine of a virtual infrastructure."""

    name: str
    host: str = Field(alias="hostName")
    object: str | None = Field(default=None, alias="objectId")
    size: str | None = None


class Mount(Shape):
    """A restore point whose disks are published."""

    id: str
    restore_point: str | None = Field(default=None, alias="restorePointId")
    state: Word = Field(alias="mountState")
    info: dict[str, Any] | None = None


class MalwareEvent(Shape):
    """An event that marks a machine."""

    id: str
    details: str = ""


class _Told(Shape):
    code: str = Field(default="", alias="errorCode")
    message: str = ""


def is_id(text: str) -> bool:
    """Return whether a text is an id as Veeam makes them."""
    return _ID.fullmatch(text.lower()) is not None


def told(answer: Answer) -> str:
    """Return what an error says, without secrets."""
    try:
        read = _Told.model_validate_json(answer.body)
    except ValidationError:
        return kept_text(answer)[:200]
    return f"{read.code} {read.message}".strip()[:500] or kept_text(answer)[:200]


def refusal(answer: Answer, what: str) -> SnapholdError:
    """Return the error for an answer that is no success; nothing happened, or only reading failed."""
    why = f"HTTP status {answer.status}: {told(answer)}"
    if answer.status == 401:  # noqa: PLR2004  the number is its own best name
        return NotAuthorisedError(f"Veeam does not accept the sign-in ({what})", why, "check user and password")
    if answer.status == 403:  # noqa: PLR2004
        return NotAuthorisedError(f"Veeam does not allow {what}", why, "give the integration's user the role for it")
    if answer.status == 404:  # noqa: PLR2004
        return InputError(f"Veeam knows nothing of {what}", why, "check it; it may have been removed")
    if answer.status == 429:  # noqa: PLR2004
        return ProviderError(f"Veeam takes no more calls now ({what})", why, "try again later", retryable=True)
    if answer.status == 400 and is_about_revision(answer):  # noqa: PLR2004
        return wrong_revision(answer)
    return ProviderError(f"Veeam refuses {what}", why, "look at its history", retryable=answer.status >= 500)  # noqa: PLR2004


def is_about_revision(answer: Answer) -> bool:
    """Return whether a refusal speaks of the API revision that was asked for."""
    return "version" in told(answer).lower()


def wrong_revision(answer: Answer) -> ProviderError:
    """Return the error of a server that does not know the revision in which it was asked."""
    return ProviderError(
        "the Veeam server does not know the API revision that it was asked in",
        f"HTTP status {answer.status}: {told(answer)}",
        "leave api_version of the integration out, or correct it; a server before 12.3.1 is too old",
    )


def as_document(value: Any) -> dict[str, Any]:
    """Return a part of a document as one; an empty one when it is absent or null."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
