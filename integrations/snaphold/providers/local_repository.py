"""What providers share whose engine runs on this machine and stores below a folder: restic and rclone.

A backup is a detached job (jobs.py); the job calls `prepare` and `copy` of the same class.
"""

from __future__ import annotations

import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from snaphold.clock import Clock
from snaphold.domain.asset import Asset
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, MissingToolError, ProviderError, SnapholdError, StorageError
from snaphold.providers import jobs
from snaphold.providers.base import (
    BackupOrder,
    Capacity,
    Description,
    Estimate,
    Health,
    JobStatus,
    Publication,
    Verb,
    Verification,
    Workload,
)
from snaphold.providers.place import RepositoryPlace
from snaphold.providers.source import application_files, find_sources, measure

COPY_TIMEOUT_SECONDS = 24 * 3600.0
CALL_TIMEOUT_SECONDS = 300.0
Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in total."""


@dataclass(frozen=True)
class CopyOrder:
    """A copy for the engine to make. `keep_open` is the job's lock: it stays held while the engine lives.

    `excluded` are paths below the sources that are left out; `total` are the bytes of the inventory.
    """

    key: str
    job: str
    asset: str
    full: bool
    tags: Mapping[str, str]
    sources: Sequence[Path]
    excluded: Sequence[Path]
    inventory: Path
    taken_at: datetime
    total: int
    progress: Progress
    keep_open: Sequence[int] = ()


@dataclass(frozen=True)
class Copied:
    """What the engine stored: its own reference, and the regular files and bytes that it counted."""

    reference: str
    files: int
    bytes: int
    complete: bool
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredCopy:
    """A copy as the repository lists it. `original` is the reference before the engine renamed it."""

    reference: str
    original: str
    key: str
    asset: str
    taken_at: datetime
    tags: frozenset[str] = frozenset()


class LocalRepository(ABC):
    """The verbs that do not depend on the engine. Subclasses add the others of the `Provider` port."""

    program: str
    install_hint: str

    def __init__(self, place: RepositoryPlace, clock: Clock) -> None:
        self.place = place
        self.clock = clock

    @abstractmethod
    def engine(self) -> str:
        """Return the engine and its version. Raises MissingToolError when it is not installed."""

    @abstractmethod
    def describe(self) -> Description:
        """Return what this provider is and can do."""

    @abstractmethod
    def prepare(self, keep_open: Sequence[int] = ()) -> str:
        """Create the repository when it is missing, check the password, return method and key id of the encryption."""

    @abstractmethod
    def check_repository(self) -> None:
        """Open the repository with the password without changing anything. Raises ProviderError."""

    @abstractmethod
    def repository_exists(self) -> bool:
        """Return whether this incident has a repository in the pool already."""

    @abstractmethod
    def copy(self, order: CopyOrder) -> Copied:
        """Copy the sources; return what was stored, also when it is incomplete. Raises when nothing was stored."""

    @abstractmethod
    def find_copy(self, key: str, job: str) -> Copied | None:
        """Return what was stored under this key, counted anew, or None."""

    @abstractmethod
    def list_copies(self) -> list[StoredCopy]:
        """Return what the repository holds, oldest first."""

    def program_path(self) -> str:
        """Return the engine's program. Raises MissingToolError with how to install it; never takes another engine."""
        chosen = self.place.pool.program
        if chosen:
            found = shutil.which(str(self.place.base / Path(chosen).expanduser()))
        else:
            found = shutil.which(self.program) or shutil.which(self.program, path=str(Path(sys.executable).parent))
        if found:
            return found
        looked = f"{chosen} is not a program" if chosen else "it was not found on PATH"
        raise MissingToolError(f"the program {self.program} is not installed", looked, self.install_hint)

    def find_workload(self, asset: Asset) -> Workload:
        """Return what of the asset is backed up. Raises ProviderError when one of its sources is missing."""
        return find_sources(asset, self.place.base, self.place.pool_folder)

    def capacity(self) -> Capacity:
        """Return the room of the file system behind the pool, in bytes."""
        try:
            folder = _nearest(self.place.pool_folder)
            room, device = os.statvfs(folder), folder.stat().st_dev
        except OSError as error:
            raise StorageError(f"the room behind pool {self.place.pool.name} cannot be read", error.strerror) from error
        return Capacity(total=room.f_blocks * room.f_frsize, free=room.f_bavail * room.f_frsize, storage=f"device-{device}")

    def estimate(self, workload: Workload) -> Estimate:
        """Return the size of the source: an upper limit of what a backup adds."""
        paths = [Path(text) for text in workload.paths]
        extra = [
            path
            for path in application_files(workload.application, self.place.base)
            if not any(root == path or root in path.parents for root in paths)
        ]
        found = measure([*paths, *extra])
        if workload.application is not None and not extra and not paths:
            return found.model_copy(update={"method": "the application's data is behind an address: its size is not known"})
        return found

    def check_health(self) -> Health:
        """Return whether engine, storage and password are fit. Changes nothing."""
        reasons: list[str] = []
        for check in (self.engine, self._check_storage, self.place.password, self._check_opens):
            try:
                check()
            except SnapholdError as error:
                reasons.append("; ".join(part for part in (error.what, error.why) if part))
        return Health(fit=not reasons, reasons=tuple(reasons))

    def _check_storage(self) -> None:
        folder = _nearest(self.place.repository)
        try:
            read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
        except OSError as error:
            raise StorageError(f"the storage of pool {self.place.pool.name} does not answer", error.strerror) from error
        if read_only or not os.access(folder, os.W_OK | os.X_OK):
            raise StorageError(f"the storage of pool {self.place.pool.name} cannot be written", f"{folder} is read-only")

    def _check_opens(self) -> None:
        if self.repository_exists():
            self.check_repository()

    def make_repository_folder(self) -> None:
        """Make the folders of pool and repository, closed to other accounts. Raises StorageError."""
        try:
            self.place.repository.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"the repository {self.place.repository} cannot be made", error.strerror, "check the pool's storage"
            ) from error

    def find_started(self, key: str) -> str | None:
        """Return the job of this key, launched now if its starter died first; None when there is none."""
        return jobs.find_job(self.place, key)

    def start(self, order: BackupOrder) -> str:
        """Start the backup as a detached job and return its id. A repeat returns the same job."""
        found = self.find_started(order.key)
        if found:
            return found
        self.program_path()
        self.place.password()
        return jobs.start_job(self.place, order)

    def status(self, job: str) -> JobStatus:
        """Return where a job stands. Raises InputError when there is no such job."""
        return jobs.job_status(self, job)

    def cancel(self, job: str) -> JobStatus:
        """Stop a running job and return how it ended."""
        jobs.stop_job(self.place, job)
        return self.status(job)

    def restore_points(self) -> list[RestorePoint]:
        """Return the restore points that the repository really holds, oldest first."""
        if not self.repository_exists():
            return []
        known = jobs.finished_restore_points(self.place)
        return [self._restore_point(stored, known) for stored in self.list_copies()]

    def _restore_point(self, stored: StoredCopy, known: Sequence[RestorePoint]) -> RestorePoint:
        for point in known:
            if {stored.reference, stored.original} & {point.reference, *point.former_references}:
                return renamed(point, stored.reference)
        return RestorePoint(
            id=jobs.restore_point_id(stored.asset, stored.key),
            incident=self.place.incident,
            asset=stored.asset,
            pool=self.place.pool.name,
            provider=self.place.pool.provider,
            engine=self.engine(),
            reference=stored.reference,
            key=stored.key,
            taken_at=stored.taken_at,
            outcome=Outcome.UNKNOWN,
            size=0,
            files=0,
            encryption="as the repository",
            consistency="unknown: its job is not recorded on this machine",
            findings=("its job is not recorded on this machine: there is no source inventory",),
        )

    def unsupported(self, verb: Verb) -> ProviderError:
        """Return the error of a verb that this engine does not have, with the declared reason."""
        detail = self.describe().capabilities[verb].detail
        return ProviderError(f"{self.place.pool.provider} does not support {verb.value}", detail)

    def set_schedule(self, asset: str, every_seconds: int | None) -> None:
        """Raise ProviderError: an engine on this machine has no scheduler of its own."""
        raise self.unsupported(Verb.SET_SCHEDULE)

    def publish(self, restore_point: RestorePoint, name: str) -> Publication:
        """Raise ProviderError: an engine on this machine has no service that offers restore points."""
        raise self.unsupported(Verb.PUBLISH)

    def end_publication(self, reference: str) -> None:
        """Raise ProviderError, as `publish`."""
        raise self.unsupported(Verb.PUBLISH)

    def mark_infected(self, restore_point: RestorePoint, reason: str) -> RestorePoint:
        """Raise ProviderError: a repository knows no state of infection."""
        raise self.unsupported(Verb.MARK_INFECTED)

    @abstractmethod
    def verify(self, restore_point: RestorePoint) -> Verification:
        """Read back all stored data of the restore point and check it."""

    @abstractmethod
    def open_read_only(self, restore_point: RestorePoint, into: Path) -> Path:
        """Restore into the empty folder `into`; return the root of the restored tree."""

    @abstractmethod
    def set_retention(self, restore_point: RestorePoint, until: datetime) -> RestorePoint:
        """Keep the restore point until then."""

    @abstractmethod
    def hold(self, restore_point: RestorePoint, hold: str, *, on: bool) -> RestorePoint:
        """Place or release a hold in the storage."""

    @abstractmethod
    def delete(self, restore_point: RestorePoint) -> None:
        """Delete for ever."""


def renamed(point: RestorePoint, reference: str) -> RestorePoint:
    """Return the restore point under the engine's new reference; the former one stays recorded."""
    if reference == point.reference:
        return point
    former = tuple(dict.fromkeys((*point.former_references, point.reference)))
    return point.model_copy(update={"reference": reference, "former_references": former})


def require_empty(folder: Path) -> None:
    """Raises InputError when a folder to restore into holds something already, StorageError when it cannot be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder} is not empty", "what is there would mix with the restored files")
    except OSError as error:
        raise StorageError(f"{folder} cannot be used for a restore", error.strerror) from error


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
