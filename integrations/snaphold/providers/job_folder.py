"""A job's folder: its order, its lock, its status, its log. Every file is written beside and renamed.

`order.json` holds no secret, only references. `lock` is held (flock) while the job process or its engine lives.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from snaphold.clock import Clock, format_time
from snaphold.config import Pool
from snaphold.domain.restore_point import QuiesceEvent
from snaphold.domain.value import Identifier, Moment, Value
from snaphold.errors import ProviderError, StorageError
from snaphold.providers.base import BackupOrder, JobState, JobStatus
from snaphold.providers.place import RepositoryPlace
from snaphold.secrets import redact

INVENTORY = "inventory.jsonl"
STAGING = "staging"
CHANGED = "changed.json"


class JobOrder(Value):
    """What a job process needs to know. Paths are absolute."""

    job: Identifier
    pool: Pool
    base: str
    state: str
    order: BackupOrder

    @property
    def place(self) -> RepositoryPlace:
        """Where the backup goes."""
        return RepositoryPlace(self.pool, Path(self.base), Path(self.state), self.order.incident)


class JobFacts(Value):
    """What a job has found out so far; kept so that a vanished job can be judged without it."""

    taken_at: Moment | None = None
    engine: str = ""
    encryption: str = ""
    consistency: str = ""
    quiesce_log: tuple[QuiesceEvent, ...] = ()
    inventory_sha256: str = ""
    frozen: bool = Field(default=False, description="The application had to stay frozen during the copy.")


class JobFolder:
    """Reads and writes one job's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def inventory(self) -> Path:
        """Where the source inventory is."""
        return self.path / INVENTORY

    @property
    def staging(self) -> Path:
        """Where a quiesce adapter puts its consistent copy; removed when the job ends."""
        return self.path / STAGING

    def order(self) -> JobOrder | None:
        """Return the order, or None when its starter died before it was written."""
        text = self._read("order.json")
        return None if text is None else JobOrder.model_validate_json(text)

    def publish_order(self, order: JobOrder) -> None:
        """Write the order unless there is one: of two starters the first one's counts."""
        beside = self._write(f".order.{os.getpid()}.{os.urandom(4).hex()}", order.model_dump_json())
        try:
            os.link(beside, self.path / "order.json")
        except FileExistsError:
            return
        finally:
            beside.unlink()

    def status(self) -> JobStatus | None:
        """Return the last status; None when the job process never began. Raises ProviderError when it is damaged."""
        text = self._read("status.json")
        try:
            return None if text is None else JobStatus.model_validate_json(text)
        except ValidationError as error:
            raise ProviderError(f"the status of job {self.path.name} is damaged", do=f"look into {self.path}") from error

    def write_status(self, status: JobStatus) -> None:
        """Replace the status."""
        self._replace("status.json", status.model_dump_json())

    def facts(self) -> JobFacts:
        """Return what the job has found out so far."""
        text = self._read("facts.json")
        return JobFacts() if text is None else JobFacts.model_validate_json(text)

    def write_facts(self, facts: JobFacts) -> None:
        """Replace the facts."""
        self._replace("facts.json", facts.model_dump_json())

    def log(self, at: datetime, event: str, **fields: Any) -> None:
        """Append one JSON line to the job's log; secrets are hidden."""
        line = json.dumps({"at": format_time(at), "event": event, **fields}, ensure_ascii=False, default=str)
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(redact(line) + "\n")

    def write_changed(self, paths: Sequence[str]) -> str:
        """Keep the full list of the files that changed during the copy; return its SHA-256 for the restore point."""
        text = json.dumps(list(paths))
        self._replace(CHANGED, text)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def count_launch(self) -> int:
        """Record one launch of the job process and return how many there were, this one included."""
        with (self.path / "launches").open("a+", encoding="ascii") as stream:
            stream.write("x\n")
            stream.seek(0)
            return len(stream.readlines())

    def write_process(self, pid: int) -> None:
        """Record the job's process."""
        self._replace("pid", str(pid))

    def process(self) -> int | None:
        """Return the job's process while it lives; a number that was given to another program does not count."""
        text = self._read("pid")
        if text is None:
            return None
        try:
            argv = Path(f"/proc/{int(text)}/cmdline").read_bytes()
        except OSError:
            return None
        return int(text) if os.fsencode(self.path) in argv else None

    def try_lock(self) -> int | None:
        """Take the lock without waiting; return its file descriptor, or None while a job process or engine lives."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _read(self, name: str) -> str | None:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def _replace(self, name: str, text: str) -> None:
        beside = self._write(f".{name}.{os.getpid()}", text)
        beside.replace(self.path / name)

    def _write(self, name: str, text: str) -> Path:
        path = self.path / name
        try:
            with path.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise StorageError(f"{path} cannot be written", error.strerror, "check the state folder's storage") from error
        return path


class JobJournal:
    """What a running job writes: status, facts and log, with the clock's times."""

    def __init__(self, folder: JobFolder, clock: Clock) -> None:
        self.folder = folder
        self.clock = clock
        self.facts = folder.facts()
        self._running = JobStatus(job=folder.path.name, state=JobState.RUNNING)
        self._written = 0.0

    def begin(self) -> None:
        """Record that the job process is at work; from now on the job is never launched again."""
        self.folder.write_process(os.getpid())
        self.folder.write_status(self._running)
        self.folder.log(self.clock.now(), "started", pid=os.getpid())

    def learn(self, **facts: Any) -> None:
        """Keep facts."""
        self.facts = self.facts.model_copy(update=facts)
        self.folder.write_facts(self.facts)

    def note_quiesce(self, event: str, detail: str = "") -> QuiesceEvent:
        """Add a line to the freeze/thaw log and return it."""
        line = QuiesceEvent(at=self.clock.now(), event=event, detail=redact(detail))
        self.learn(quiesce_log=(*self.facts.quiesce_log, line))
        self.folder.log(line.at, event, detail=detail)
        return line

    def progress(self, done: int, total: int) -> None:
        """Write the progress numbers, at most once a second."""
        now = self.clock.now().timestamp()
        if now - self._written < 1.0:
            return
        self._written = now
        status = {"bytes_done": done, "bytes_total": total, "quiesce_log": self.facts.quiesce_log}
        self._running = self._running.model_copy(update=status)
        self.folder.write_status(self._running)

    def end(self, status: JobStatus) -> None:
        """Write the last status."""
        self.folder.log(self.clock.now(), status.state.value, outcome=status.outcome, findings=status.findings)
        self.folder.write_status(status)
