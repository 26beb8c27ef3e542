"""The port of vaults: where evidence packages rest."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Vault(Protocol):
    """Keeps finished packages. A package is put whole or not at all, and is read-only afterwards."""

    def stage(self, name: str) -> Path:
        """Return an empty private folder in which a package can be built; leftovers of a lost attempt are removed."""
        ...

    def commit(self, staged: Path, name: str) -> Path:
        """Flush the staged folder to disk, rename it to its final name, make it read-only; return the final path.

        Raises StorageError, leaving the staged folder, when the name exists or the storage refuses.
        """
        ...

    def find(self, name: str) -> Path | None:
        """Return the path of a finished package, or None."""
        ...
