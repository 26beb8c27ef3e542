"""What a simulator is: something that answers calls, one at a time, and keeps state between them.

A simulator is a module in this folder with a class `Simulator` that derives from `Stateful`. It answers what its vendor
documents; disturbances (`faults`) come from the server around it, so that each simulator only says what is peculiar to
it: how its sign-in expires, and what of its own can go wrong.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from snaphold.errors import InputError


@dataclass(frozen=True)
class Call:
    """One request. Names of headers are in lower case; `query` holds all values of each name."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> Any:
        """Return the body as JSON. Raises ValueError when it is not."""
        return json.loads(self.body)

    def one(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        return self.query.get(name, [default])[0]


@dataclass(frozen=True)
class Reply:
    """One answer. `document` is sent as JSON; `body` stands for it when it must be something else."""

    status: int
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None

    def content(self) -> bytes:
        """Return the body as it is sent."""
        if self.body is not None:
            return self.body
        return b"" if self.document is None else json.dumps(self.document, ensure_ascii=False).encode("utf-8")


class Stateful(ABC):
    """The base of all simulators. The server never calls `answer` from two threads at once."""

    summary: ClassVar[str]
    """One line for `snaphold simulate --list`."""
    own_faults: ClassVar[Mapping[str, str]] = {}
    """Faults that only this vendor has, and what each does."""
    base_path: ClassVar[str] = ""
    """What the vendor's API has between host and path, for the address in the configuration."""

    @abstractmethod
    def answer(self, call: Call) -> Reply:
        """Return the answer to a call."""

    @abstractmethod
    def refuse(self, status: int, message: str) -> Reply:
        """Return an error in the vendor's own form."""

    @abstractmethod
    def throttle(self, seconds: int) -> Reply:
        """Return the vendor's 429 with its own headers."""

    @abstractmethod
    def expire(self) -> None:
        """Have every sign-in of now be worth nothing; where a vendor has no sign-in, nothing changes."""

    def disturb(self, fault: str) -> Callable[[], None] | None:
        """Prepare one of `own_faults` for the next call; return what takes it back, None when it undoes itself."""
        raise InputError(f"this simulator has no fault {fault!r}", f"its own: {', '.join(self.own_faults) or 'none'}")

    def furnish(self) -> str:
        """Put something there for a person to practise on; return what, in a few words."""
        return ""

    def credentials(self) -> Mapping[str, str]:
        """Return what a client signs in with; printed when it starts. They protect nothing."""
        return {}
