"""Toy actions, and a vendor that counts its starts in a file, for tests of execute() and of the ledger."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from snaphold.action import AnyAction, Effect, Names, Recovery, Request, Result, action, describe
from snaphold.context import Attempt, Context
from snaphold.domain.outcome import Outcome


class FileVendor:
    """A vendor that starts jobs and can be asked whether a key started. Its book is a file: one line for each start."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def starts(self) -> list[str]:
        """Return the key of every start, in order."""
        return self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []

    def find(self, key: str) -> bool:
        """Return whether the key started."""
        return key in self.starts()

    def start(self, key: str) -> None:
        """Start, whether or not the key started before: it is the caller's task to know."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, f"{key}\n".encode())
        finally:
            os.close(descriptor)


class ToyRequest(Request):
    """Input of every toy."""

    asset: str = Field(default="orders-db", description="An asset.", examples=["orders-db"])
    assets: Names = Field(default=[], description="Assets.", examples=[["orders-db"]])


class ToyResult(Result):
    """Output of every toy."""

    job: str = Field(default="", description="A job.", examples=["JOB-1"])


Behaviour = Callable[[ToyRequest, Context], ToyResult]


def succeed(request: ToyRequest, context: Context) -> ToyResult:
    """Do nothing, well."""
    return ToyResult(outcome=Outcome.SUCCEEDED, job=f"JOB-{request.asset}")


def looked_up(
    vendor: FileVendor, *, before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None
) -> Behaviour:
    """Return an action that asks the vendor for its key before it starts; `before` and `after` are where it can die."""

    def start(request: ToyRequest, context: Context) -> ToyResult:
        if context.attempt is Attempt.FRESH or not vendor.find(context.key):
            before()
            vendor.start(context.key)
            after()
        return ToyResult(outcome=Outcome.SUCCEEDED, job=context.key)

    return start


def toy(
    behaviour: Behaviour = succeed,
    *,
    name: str = "toy.start",
    effect: Effect = Effect.WRITES,
    recovery: Recovery = Recovery.LOOKS_UP,
    key_fields: tuple[str, ...] = ("asset",),
) -> AnyAction:
    """Return a catalogue entry that behaves so."""

    def function(request: ToyRequest, context: Context) -> ToyResult:
        """Behave as told."""
        return behaviour(request, context)

    function.__annotations__ = {"request": ToyRequest, "context": Context, "return": ToyResult}
    return describe(action(name, title="A toy", effect=effect, recovery=recovery, key_fields=key_fields)(function))


def install(patch: Any, *entries: AnyAction) -> None:
    """Make execute() find these actions; `patch` is pytest's monkeypatch or anything with its setattr."""
    import snaphold.execute

    known = {entry.name: entry for entry in entries}
    patch.setattr(snaphold.execute, "find_action", known.__getitem__)
