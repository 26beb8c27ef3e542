"""The one tree of errors. Each says what happened, why, and what to do; none needs a traceback.

Exit codes are a contract with scripts (unknown code = failure): 0 done, 1 failed, 2 bad input, 3 finished with
findings, 4 not authorised, 5 waiting for approval, 6 timed out, 130 interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_FINDINGS = 3
EXIT_NOT_AUTHORISED = 4
EXIT_WAITING = 5
EXIT_TIMED_OUT = 6
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Location:
    """A place in a text file; line and column count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class SnapholdError(Exception):
    """What happened (`what`), why (`why`) and what the reader can do (`do`)."""

    exit_code: ClassVar[int] = EXIT_FAILED

    def __init__(self, what: str, why: str | None = None, do: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.do = do

    def __str__(self) -> str:
        parts = [self.what]
        if self.why:
            parts.append(f"why: {self.why}")
        if self.do:
            parts.append(f"do: {self.do}")
        return "\n  ".join(parts)


class InputError(SnapholdError):
    """The input is wrong; nothing was done."""

    exit_code: ClassVar[int] = EXIT_BAD_INPUT


@dataclass(frozen=True)
class Problem:
    """One fault in a document: where it is (when known), the field, and what is wrong with it.

    `severity` is `error` or `warning`; only a linter warns.
    """

    message: str
    field: str = ""
    location: Location | None = None
    hint: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else ""
        field = f"{self.field}: " if self.field else ""
        return f"{where}{field}{self.message}" + (f" ({self.hint})" if self.hint else "")


class DocumentError(InputError):
    """A document (configuration, playbook, incident) has faults; all that were found are listed."""

    def __init__(self, what: str, problems: list[Problem], do: str | None = None) -> None:
        super().__init__(what, why="\n       ".join(str(problem) for problem in problems), do=do)
        self.problems = problems


class ConfigurationError(DocumentError):
    """snaphold.yaml is wrong or missing."""


class PlaybookError(DocumentError):
    """A playbook is wrong; every problem carries file:line:column."""


class NotAuthorisedError(SnapholdError):
    """The actor may not do this, or the grant that it needs is missing, expired or revoked."""

    exit_code: ClassVar[int] = EXIT_NOT_AUTHORISED


class WaitingForApprovalError(SnapholdError):
    """The run stands at an approval gate; nothing is wrong."""

    exit_code: ClassVar[int] = EXIT_WAITING


class KeptError(SnapholdError):
    """It must be kept: a hold, an open case or its retention forbids the deletion; nothing was deleted."""

    exit_code: ClassVar[int] = EXIT_NOT_AUTHORISED


class TimedOutError(SnapholdError):
    """A deadline passed. Says nothing about whether the work was done: look it up."""

    exit_code: ClassVar[int] = EXIT_TIMED_OUT


class MissingToolError(SnapholdError):
    """A program or an optional Python package that this needs is not installed."""


class StorageError(SnapholdError):
    """A file system refused: full, read-only, or a path that cannot be read."""


class CapacityError(SnapholdError):
    """The pool has too little room; the numbers stand in `why`."""


class ProviderError(SnapholdError):
    """A backup product or engine refused or failed. `retryable` only when a repeat cannot double an effect."""

    def __init__(self, what: str, why: str | None = None, do: str | None = None, *, retryable: bool = False) -> None:
        super().__init__(what, why, do)
        self.retryable = retryable


class UnknownOutcomeError(SnapholdError):
    """It cannot be told whether the effect happened. Never retried blindly: a person decides."""


class BusyError(SnapholdError):
    """Another worker holds the lease on this action; wait until it ends or the lease runs out."""


class LedgerError(SnapholdError):
    """The audit chain cannot be written, or does not verify."""


class EvidenceError(SnapholdError):
    """Evidence failed its check: it differs from what was sealed."""


class UnverifiedEvidenceError(SnapholdError):
    """Evidence could not be checked to the end. Not the same as wrong, and never the same as right."""

    exit_code: ClassVar[int] = EXIT_FINDINGS
