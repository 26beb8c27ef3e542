"""The port of vaults: where evidence packages rest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from snaphold.domain.stored_package import RestingPlace, StoredPackage


@dataclass(frozen=True)
class ReadBack:
    """A package as the vault gives it back: its folder, and what is wrong with what the vault holds.

    `faults`: content or locks that are missing or differ. `unreadable`: what the vault holds and cannot give.
    `notes`: findings that leave the content as it was.
    """

    folder: Path
    faults: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Vault(Protocol):
    """Keeps finished packages. A package is put whole or not at all, and is read-only afterwards."""

    def stage(self, name: str) -> Path:
        """Return an empty private folder in which a package can be built; leftovers of a lost attempt are removed."""
        ...

    def place(self, name: str, retain_until: datetime) -> RestingPlace:
        """Return where the package will rest and what will protect it, for its custody log.

        Raises StorageError when the vault would refuse the finished package: before the work, not after it.
        """
        ...

    def commit(self, staged: Path, name: str, *, retain_until: datetime) -> Path:
        """Put the staged package, whole; return the path of the read-only copy on this machine.

        A remote vault locks every object until then. Raises StorageError, leaving the staged folder, when the name exists
        or the storage refuses; EvidenceError when the vault gives back other bytes than it was sent; UnknownOutcomeError
        when it cannot be told whether the package is complete.
        """
        ...

    def find(self, name: str) -> Path | None:
        """Return the path of a finished package on this machine, or None; a copy that was lost here is fetched again."""
        ...

    def stored(self, name: str) -> StoredPackage | None:
        """Return what the remote vault holds of a finished package; None when it rests on this machine only."""
        ...

    def read_back(self, name: str, into: Path, *, recorded: StoredPackage | None) -> ReadBack:
        """Return the package as the vault holds it, below the empty folder `into` when it must be fetched.

        `recorded` is what the register knows of it: other versions or digests than those are faults.
        """
        ...

    def set_legal_hold(self, name: str, holds: Collection[str]) -> str:
        """Hold the package in the storage while `holds` has ids, release it when it is empty; return how it is enforced."""
        ...

    def extend_retention(self, name: str, until: datetime) -> str:
        """Lock the package until then if it is not locked longer already; return how that is enforced."""
        ...

    def mirror_custody(self, name: str) -> str:
        """Put the custody log of the working copy beside the package, as it stands now; return where it is.

        `read_back` gives the newest one that the custodian signed. Raises StorageError, EvidenceError.
        """
        ...
