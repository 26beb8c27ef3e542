"""The port of application consistency.

`thaw` always runs; a deadline that passes before the copy ends makes the copy invalid.

Kinds: `online` (nothing is frozen; the application's own backup interface gives a consistent copy; preferred),
`connection` (released when the connection dies), `filesystem` (a watchdog process exists before the freeze).
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Protocol

from pydantic import Field

from snaphold.domain.asset import Application
from snaphold.domain.restore_point import QuiesceEvent
from snaphold.domain.value import Identifier, Moment, Value
from snaphold.errors import SnapholdError


class QuiesceKind(str, Enum):
    """How consistency is reached."""

    ONLINE = "online"
    CONNECTION = "connection"
    FILESYSTEM = "filesystem"


class QuiesceDescription(Value):
    """What an adapter is, and how it was proved."""

    name: Identifier
    kind: QuiesceKind
    proved_on: str


class QuiesceCheck(Value):
    """Whether the application can be quiesced now, with every reason; `version` of the application."""

    ready: bool
    version: str = ""
    reasons: tuple[str, ...] = ()


class FreezeToken(Value):
    """The right to copy. For `online` adapters `copy_paths` holds the consistent copy that was made."""

    id: Identifier
    frozen_at: Moment
    deadline: Moment
    copy_paths: tuple[str, ...] = Field(description="What must be copied while the token is valid (absolute).")


class Thaw(Value):
    """How a freeze ended. `valid` is false when the deadline passed first or the release failed."""

    at: Moment
    reason: str = Field(description="released, owner-died or deadline")
    valid: bool


class ConsistencyReport(Value):
    """What a check of a copy found. Without a consistency query nothing is proved, and `consistent` is false."""

    consistent: bool
    checks: tuple[str, ...] = ()
    answer: str = ""
    reasons: tuple[str, ...] = ()


class FreezeError(SnapholdError):
    """Consistency was not reached in time or at all; nothing may be copied. `log` is what happened until then."""

    def __init__(self, what: str, why: str, do: str, *, log: tuple[QuiesceEvent, ...] = ()) -> None:
        super().__init__(what, why, do)
        self.log = log


class Quiescer(Protocol):
    """Brings one application to a consistent state and proves copies of it."""

    def describe(self) -> QuiesceDescription:
        """Return what this adapter is."""
        ...

    def check(self, application: Application, base: Path) -> QuiesceCheck:
        """Return whether the application can be quiesced; `base` is where relative locations count from."""
        ...

    def freeze(self, application: Application, base: Path, staging: Path) -> FreezeToken:
        """Reach consistency. `staging` is an empty private folder for what the adapter must write.

        Raises FreezeError when consistency was not reached before the deadline or at all; everything is released
        and removed again by then.
        """
        ...

    def evidence(self, token: FreezeToken) -> list[QuiesceEvent]:
        """Return the freeze/thaw log so far, in order."""
        ...

    def thaw(self, token: FreezeToken) -> Thaw:
        """Release; repeating it is harmless and returns the first answer."""
        ...

    def verify(self, application: Application, copy: Path) -> ConsistencyReport:
        """Ask the consistency query of a restored copy (a file or folder); the copy is never written to."""
        ...
