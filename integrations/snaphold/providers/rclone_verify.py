"""Compares the hashes of what rclone read back with the inventory that is stored beside it."""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from snaphold.domain.outcome import Outcome
from snaphold.evidence.inventory import entry_path, read_inventory
from snaphold.providers.base import Verification
from snaphold.providers.rclone_copy import LINK_SUFFIX
from snaphold.providers.source import name_paths


def compare_hashes(method: str, inventory: Path | None, sums: Path | None, changed: Collection[bytes], said: str) -> Verification:
    """Return whether every file and link of the inventory was read back with its hash, and nothing else.

    `changed` are files that changed while they were copied: they must be there and decrypt, but their content is not the
    inventory's. `said` is what rclone complained about; any complaint means failed. rclone writes control characters
    and bytes that are not UTF-8 in a form of its own: such names are compared by their hashes, which must all be there.
    """
    findings = [f"rclone: {said}"] if said else []
    if inventory is None or sums is None or not sums.exists():
        return Verification(outcome=Outcome.FAILED, method=method, findings=tuple(findings or ["nothing was read back"]))
    expected = _expected(inventory)
    found = dict(_read_sums(sums))
    for name in changed:
        if name in found and name in expected:
            expected[name] = found[name]
    missing = {name: value for name, value in expected.items() if found.get(name) != value}
    strange = {name: value for name, value in found.items() if expected.get(name) != value}
    unmatched = Counter(missing.values()) - Counter(strange.values())
    if unmatched:
        lost = [os.fsdecode(name) for name, value in missing.items() if value in unmatched]
        findings.append(f"{unmatched.total()} files were not read back as they were: {name_paths(lost)}")
    extra = Counter(strange.values()) - Counter(missing.values())
    if extra:
        names = [os.fsdecode(name) for name, value in strange.items() if value in extra]
        findings.append(f"{extra.total()} files are not what the inventory says: {name_paths(names)}")
    return Verification(outcome=Outcome.FAILED if findings else Outcome.SUCCEEDED, method=method, findings=tuple(findings))


def _expected(inventory: Path) -> dict[bytes, str]:
    wanted: dict[bytes, str] = {}
    for entry in read_inventory(inventory):
        name = entry_path(entry).lstrip(b"/")
        if "error" in entry:
            continue
        if entry["type"] == "file":
            wanted[name] = entry["sha256"]
        elif entry["type"] == "symlink":
            target = entry["target"].encode() if "target" in entry else base64.b64decode(entry["target_b64"])
            wanted[name + LINK_SUFFIX.encode()] = hashlib.sha256(target).hexdigest()
    return wanted


def _read_sums(sums: Path) -> list[tuple[bytes, str]]:
    with sums.open("rb") as lines:
        pairs = [line.rstrip(b"\n").partition(b"  ") for line in lines]
    return [(name, value.decode("ascii", "replace")) for value, _, name in pairs]
