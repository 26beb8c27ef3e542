"""What the linter looks at, and the list of what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from snaphold.action import AnyAction
from snaphold.config import Configuration
from snaphold.errors import Location, Problem
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.model import Playbook
from snaphold.playbook.reference import ExpressionError
from snaphold.playbook.scope import Scope
from snaphold.playbook.walk import Place

ERROR = "error"
WARNING = "warning"


@dataclass(frozen=True)
class Subject:
    """One playbook under the linter, with everything that its meaning depends on.

    `find` returns a called playbook; it raises InputError (there is none) or PlaybookError (it cannot be read).
    """

    loaded: LoadedPlaybook
    actions: Mapping[str, AnyAction]
    find: Callable[[str], LoadedPlaybook]
    configuration: Configuration | None
    scope: Scope
    findings: list[Problem] = field(default_factory=lambda: [])
    used: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    @property
    def playbook(self) -> Playbook:
        """The playbook."""
        return self.loaded.playbook

    def error(self, place: Place, message: str, hint: str = "") -> None:
        """Record an error at a value."""
        self._add(self.loaded.document.locate(place), message, hint, ERROR)

    def error_at_key(self, place: Place, message: str, hint: str = "") -> None:
        """Record an error at a key."""
        self._add(self.loaded.document.locate_key(place), message, hint, ERROR)

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        """Record a warning at a key."""
        self._add(self.loaded.document.locate_key(place), message, hint, WARNING)

    def error_within(self, place: Place, column: int, message: str, hint: str = "") -> None:
        """Record an error inside a text value; `column` counts from 1 in the text."""
        location = self.loaded.document.locate(place)
        if location is not None:
            location = Location(location.path, location.line, location.column + self._shift(location, column))
        self._add(location, message, hint, ERROR)

    def malformed(self, place: Place, error: ExpressionError) -> None:
        """Record a malformed expression."""
        self.error_within(place, error.column, error.message)

    def _shift(self, location: Location, column: int) -> int:
        """Return how far right of its value's start a column of the text stands; 0 for block text."""
        lines = self.loaded.text.split("\n")
        rest = lines[location.line - 1][location.column - 1 :] if location.line <= len(lines) else ""
        if rest[:1] in ("|", ">", ""):
            return 0
        quote = 1 if rest[0] in "\"'" else 0
        escapes = 0
        if rest[0] == '"':
            # Each backslash of the file stands for nothing in the text: \" is one character there, two here.
            position = 1
            for _ in range(column - 1):
                if rest[position : position + 1] == "\\":
                    escapes += 1
                    position += 1
                position += 1
        shift = column - 1 + quote + escapes
        return shift if shift < len(rest) + 1 else 0

    def _add(self, location: Location | None, message: str, hint: str, severity: str) -> None:
        self.findings.append(Problem(message, location=location, hint=hint, severity=severity))
