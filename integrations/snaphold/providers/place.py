"""Where one incident's repository of one pool lies, and how its password is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snaphold.config import Configuration, Pool
from snaphold.errors import InputError
from snaphold.secrets import resolve


@dataclass(frozen=True)
class RepositoryPlace:
    """A pool as one incident sees it. `base` is where relative paths count from; `state` holds the job folders."""

    pool: Pool
    base: Path
    state: Path
    incident: str

    @classmethod
    def of(cls, pool: Pool, configuration: Configuration, incident: str) -> RepositoryPlace:
        """Return the place of an incident's repository in a pool of the configuration."""
        return cls(pool, configuration.base, configuration.state_folder.resolve(), incident)

    @property
    def pool_folder(self) -> Path:
        """The folder of the pool; repositories of incidents lie side by side in it."""
        return (self.base / Path(self.pool.location).expanduser()).resolve()

    @property
    def repository(self) -> Path:
        """The folder of this incident's own repository."""
        return self.pool_folder / self.incident

    @property
    def jobs(self) -> Path:
        """The folder of job folders."""
        return self.state / "jobs"

    def password(self) -> str:
        """Return the repository's password. Raises InputError when it is missing or a file that others can read."""
        if self.pool.password is None:
            raise InputError(
                f"the pool {self.pool.name} has no password",
                f"{self.pool.provider} encrypts what it stores",
                "add password to the pool in snaphold.yaml, by reference",
            )
        return resolve(self.pool.password, self.base)
