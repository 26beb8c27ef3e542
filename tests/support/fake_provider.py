"""A backup engine that keeps copies of folders: enough of a provider for sealing."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import QuiesceEvent, RestorePoint
from snaphold.evidence.inventory import take_inventory
from snaphold.providers.base import Description, Provider

TAKEN_AT = datetime(2026, 11, 22, 17, 30, tzinfo=timezone.utc)


class FakeProvider:
    """Keeps each restore point as a folder. `spoil` changes what a restore gives back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spoil = False
        self.opened: list[str] = []

    def describe(self) -> Description:
        return Description(provider="fake", engine="fake 1.0", capabilities={}, proved_on="nothing")

    def back_up(self, source: Path, name: str, **changes: Any) -> RestorePoint:
        """Copy a folder and return its restore point, with an inventory."""
        kept = self.folder / name
        shutil.copytree(source, kept / "tree" / source.relative_to("/"), symlinks=True)
        summary = take_inventory([source], kept / "inventory.jsonl")
        fields: dict[str, Any] = {
            "id": name,
            "incident": "INC-1",
            "asset": "files-01",
            "pool": "isolated-01",
            "provider": "fake",
            "engine": "fake 1.0",
            "reference": f"snap-{name}",
            "key": f"INC-1/start/{name}/1",
            "taken_at": TAKEN_AT,
            "outcome": Outcome.SUCCEEDED,
            "size": summary.bytes,
            "files": summary.files,
            "inventory": str(kept / "inventory.jsonl"),
            "inventory_sha256": summary.sha256,
            "encryption": "fake cipher, key 1a2b3c4d",
            "consistency": "crash-consistent",
            "quiesce_log": (QuiesceEvent(at=TAKEN_AT, event="frozen_at", detail="for the test"),),
            **changes,
        }
        return RestorePoint.model_validate(fields)

    def open_read_only(self, restore_point: RestorePoint, into: Path) -> Path:
        self.opened.append(restore_point.id)
        shutil.copytree(self.folder / restore_point.id / "tree", into, symlinks=True, dirs_exist_ok=True)
        if self.spoil:
            victim = next(path for path in sorted(into.rglob("*")) if path.is_file() and not path.is_symlink())
            victim.write_bytes(b"spoiled")
        return into

    def as_provider(self) -> Provider:
        return cast("Provider", self)
