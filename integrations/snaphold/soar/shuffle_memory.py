"""What a run on Shuffle remembers from one pass to the next, in Shuffle's own datastore.

A Shuffle run is ended after 30 minutes, so a playbook runs in short passes: each pass walks the workflow anew, and every
step that has an answer gives that answer again instead of acting again. Each step has a key of its own, so that steps
side by side never overwrite each other. Nothing secret is written here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Protocol, cast

from snaphold.errors import InputError, StorageError

RUN_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_PREFIX = "snaphold"


class Datastore(Protocol):
    """The part of the SDK's `AppBase` that keeps values."""

    def get_cache(self, key: str) -> Any:
        """Return `{"success": true, "value": ...}`, or `success` false when there is nothing under the key."""
        ...

    def set_cache(self, key: str, value: str) -> Any:
        """Keep a text; `success` tells whether it was kept."""
        ...


@dataclass(frozen=True)
class Memory:
    """The memory of one run. Raises StorageError when the datastore refuses."""

    datastore: Datastore
    run: str

    def __post_init__(self) -> None:
        if not RUN_PATTERN.fullmatch(self.run):
            raise InputError("the run has no id", "the step `inputs` gives it as $inputs.run")

    def recall(self, name: str) -> dict[str, Any]:
        """Return what was recorded under a name; empty when nothing was."""
        try:
            found: Any = self.datastore.get_cache(self._key(name))
        except Exception as error:  # the SDK lets every fault of its HTTP library through
            raise StorageError("Shuffle's datastore cannot be read", type(error).__name__, "run it again") from error
        if not isinstance(found, dict):
            return {}
        answer = cast("dict[str, Any]", found)
        value: Any = answer.get("value") if answer.get("success") is True else None
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                value = None
        return cast("dict[str, Any]", value) if isinstance(value, dict) else {}

    def record(self, name: str, document: dict[str, Any]) -> None:
        """Keep a document under a name."""
        text = json.dumps(document, ensure_ascii=True, sort_keys=True)
        try:
            found: Any = self.datastore.set_cache(self._key(name), text)
        except Exception as error:
            raise StorageError("Shuffle's datastore cannot be written", type(error).__name__, "run it again") from error
        if not isinstance(found, dict) or cast("dict[str, Any]", found).get("success") is not True:
            raise StorageError("Shuffle's datastore refuses to keep the step's answer", do="check the datastore, run it again")

    def of(self, run: str) -> Memory:
        """Return the memory of another run."""
        return Memory(self.datastore, run)

    def _key(self, name: str) -> str:
        return f"{_PREFIX}.{self.run}.{name}"
