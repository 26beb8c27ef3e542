"""SQLite: an exact copy through the backup interface while the application goes on writing.

A file copy of a database in use is torn or stale, because part of its content is in the write-ahead log and pages
change under the copier. The backup interface reads one snapshot. In WAL mode a read transaction holds that snapshot, so
writers are not held up and the copy never starts again; in the other journal modes SQLite starts the copy again when
somebody writes, and the deadline bounds that.

The application's file is opened read-only. A copy is proved by its integrity check and by the consistency query.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from snaphold.clock import Clock, format_duration
from snaphold.domain.asset import Application
from snaphold.domain.restore_point import QuiesceEvent
from snaphold.errors import InputError
from snaphold.quiesce.base import (
    ConsistencyReport,
    FreezeError,
    FreezeToken,
    QuiesceCheck,
    QuiesceDescription,
    QuiesceKind,
    Thaw,
)
from snaphold.quiesce.sqlite_file import (
    BUSY_WAIT_SECONDS,
    beside,
    describe_log,
    file_faults,
    identity,
    open_read_only,
    opening_faults,
    read_header,
    read_value,
    room_faults,
)
from snaphold.quiesce.sqlite_proof import prove_copy

PAGES_PER_STEP = 256


class _DeadlinePassedError(Exception):
    """Ends a copy from inside its progress callback."""


@dataclass
class _Freeze:
    """One freeze: its log and, once it ended, how."""

    log: list[QuiesceEvent] = field(default_factory=lambda: [])
    thaw: Thaw | None = None


def open_adapter(clock: Clock) -> SqliteQuiescer:
    """Return the adapter; `clock` gives the times of the log."""
    return SqliteQuiescer(clock)


class SqliteQuiescer:
    """Copies and proves SQLite databases."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._freezes: dict[str, _Freeze] = {}

    def describe(self) -> QuiesceDescription:
        """Return what this adapter is."""
        return QuiesceDescription(name="sqlite", kind=QuiesceKind.ONLINE, proved_on="real system")

    def check(self, application: Application, base: Path) -> QuiesceCheck:
        """Return whether the database can be read and copied now, with every reason when it cannot."""
        path = base / application.location
        reasons = [*file_faults(path)]
        if not reasons:
            reasons += room_faults(path, base)
            reasons += opening_faults(path)
        return QuiesceCheck(ready=not reasons, version=f"SQLite {sqlite3.sqlite_version}", reasons=tuple(reasons))

    def freeze(self, application: Application, base: Path, staging: Path) -> FreezeToken:
        """Copy the database into `staging` under one snapshot; the token's `copy_paths` name the copy.

        Raises FreezeError when the file is no sound database, there is no room, or the deadline passed first; the
        partial copy is removed.
        """
        started, freeze = self._clock.now(), _Freeze()
        stop_at = time.monotonic() + application.freeze_deadline.total_seconds()
        source, copy = base / application.location, staging / Path(application.location).name
        self._log(freeze, "freeze_requested", f"deadline {format_duration(application.freeze_deadline)}")
        faults = [*file_faults(source)] or [*room_faults(source, staging)]
        if faults:
            raise _failed(source, "; ".join(faults), "mend this, then start the backup again", freeze)
        try:
            copy.touch(mode=0o600)
            at = self._copy(source, copy, stop_at, freeze)
        except _DeadlinePassedError as error:
            copy.unlink(missing_ok=True)
            self._log(freeze, "thawed_at", "deadline")
            why = f"the copy did not end within {format_duration(application.freeze_deadline)}; {freeze.log[-2].detail}"
            raise _failed(source, why, "raise application.freeze_deadline, or back up when fewer write", freeze) from error
        except (sqlite3.Error, OSError) as error:
            copy.unlink(missing_ok=True)
            self._log(freeze, "thawed_at", f"released after a failure: {error}")
            raise _failed(source, str(error), "check the database and the free space, then try again", freeze) from error
        token = FreezeToken(
            id=f"FREEZE-{secrets.token_hex(8)}",
            frozen_at=at,
            deadline=started + application.freeze_deadline,
            copy_paths=(str(copy.absolute()),),
        )
        self._freezes[token.id] = freeze
        return token

    def evidence(self, token: FreezeToken) -> list[QuiesceEvent]:
        """Return the log so far, in order. Raises InputError for a token of another process."""
        return list(self._find(token).log)

    def thaw(self, token: FreezeToken) -> Thaw:
        """End the freeze. The source was let go of when the copy ended, so a late call does no harm to the copy."""
        freeze = self._find(token)
        if freeze.thaw is None:
            self._log(freeze, "thawed_at", "released")
            freeze.thaw = Thaw(at=freeze.log[-1].at, reason="released", valid=True)
        return freeze.thaw

    def verify(self, application: Application, copy: Path) -> ConsistencyReport:
        """Return what the integrity check and the consistency query say about a restored copy (file or folder)."""
        return prove_copy(application, copy)

    def _copy(self, source: Path, copy: Path, stop_at: float, freeze: _Freeze) -> datetime:
        """Copy; return when the snapshot was taken.

        Opening a WAL database that nobody has open would leave two new files beside it. Such a database is at rest:
        it is read as immutable, and copied again the ordinary way if somebody opened or changed it meanwhile.
        """
        at_rest = read_header(source).write_ahead and not beside(source, "-wal").exists()
        if at_rest:
            before = identity(source)
            frozen_at = self._copy_once(source, copy, stop_at, freeze, immutable=True)
            if identity(source) == before and not beside(source, "-wal").exists():
                return frozen_at
            self._log(freeze, "copy_discarded", "the database was opened while it was copied at rest")
            copy.write_bytes(b"")
        return self._copy_once(source, copy, stop_at, freeze, immutable=False)

    def _copy_once(self, source: Path, copy: Path, stop_at: float, freeze: _Freeze, *, immutable: bool) -> datetime:
        origin = open_read_only(source, immutable=immutable, wait_seconds=max(0.0, stop_at - time.monotonic()))
        target = sqlite3.connect(copy, isolation_level=None)
        try:
            mode = "at rest" if immutable else f"journal mode {read_value(origin, 'PRAGMA journal_mode')}"
            if read_header(source).write_ahead:
                # A transaction of its own keeps one snapshot; elsewhere it would lock writers out, so SQLite restarts.
                origin.execute("BEGIN")
            version, pages = read_value(origin, "PRAGMA data_version"), int(read_value(origin, "PRAGMA page_count"))
            state = f"data_version {version}, change counter {read_header(source).change_counter}"
            self._log(freeze, "frozen_at", f"{mode}, {state}, {describe_log(source)}")
            frozen_at = freeze.log[-1].at
            self._log(freeze, "copy_begin", f"{pages} pages of {read_value(origin, 'PRAGMA page_size')} bytes")
            left = [pages, pages]

            def watch(_status: int, remaining: int, total: int) -> None:
                left[:] = remaining, total
                if remaining and time.monotonic() > stop_at:
                    raise _DeadlinePassedError

            try:
                origin.backup(target, pages=PAGES_PER_STEP, progress=watch, sleep=BUSY_WAIT_SECONDS)
                if time.monotonic() > stop_at:
                    raise _DeadlinePassedError
            except _DeadlinePassedError:
                self._log(freeze, "copy_aborted", f"{left[1] - left[0]} of {left[1]} pages were copied")
                raise
            if origin.in_transaction:
                origin.execute("ROLLBACK")
            after = read_value(origin, "PRAGMA data_version")
            written = "others wrote meanwhile" if after != version else "nobody wrote meanwhile"
            counter = f"change counter {read_header(source).change_counter}"
            self._log(freeze, "copy_end", f"{left[1]} pages, data_version {after}, {counter}, {describe_log(source)}, {written}")
            return frozen_at
        finally:
            origin.close()
            target.close()

    def _log(self, freeze: _Freeze, event: str, detail: str) -> None:
        freeze.log.append(QuiesceEvent(at=self._clock.now(), event=event, detail=detail))

    def _find(self, token: FreezeToken) -> _Freeze:
        if token.id not in self._freezes:
            raise InputError(f"the freeze {token.id} is not known here", "a freeze belongs to the process that began it")
        return self._freezes[token.id]


def _failed(source: Path, why: str, do: str, freeze: _Freeze) -> FreezeError:
    return FreezeError(f"{source} could not be copied consistently", why, do, log=tuple(freeze.log))
