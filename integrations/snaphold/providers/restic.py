"""restic: encrypted, deduplicated snapshots in a folder. Proved on the real program."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote

from snaphold.clock import Clock, format_time, parse_time
from snaphold.config import Configuration, Pool
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import ProviderError, StorageError
from snaphold.providers.base import Capability, Description, Estimate, Support, Verb, Verification, Workload
from snaphold.providers.init_lock import repository_made_once
from snaphold.providers.local_repository import (
    COPY_TIMEOUT_SECONDS,
    Copied,
    CopyOrder,
    LocalRepository,
    StoredCopy,
    renamed,
    require_empty,
)
from snaphold.providers.place import RepositoryPlace
from snaphold.providers.restic_command import ResticCommand
from snaphold.providers.restic_output import (
    PARTLY_READ,
    json_lines,
    read_array,
    read_line,
    read_moment,
    unreadable_items,
)
from snaphold.providers.source import NAMED_PATHS, name_paths

LEGAL_HOLD = "legal-hold"
BACKUP_WAIT_SECONDS = 600.0
FULL = Capability(support=Support.FULL)
PROVED_ON = "real system"
CAPABILITIES = {
    **dict.fromkeys(Verb, FULL),
    Verb.ESTIMATE: Capability(
        support=Support.APPROXIMATE, detail="the size of the source before the first backup, a dry run after it"
    ),
    Verb.VERIFY: Capability(
        support=Support.FULL, detail="check --read-data reads the incident's whole repository, not one restore point"
    ),
    Verb.SET_RETENTION: Capability(
        support=Support.APPROXIMATE, detail="a tag that our delete obeys; the storage itself does not enforce it"
    ),
    Verb.HOLD: Capability(
        support=Support.APPROXIMATE,
        detail="the tag legal-hold, which our delete and `forget --keep-tag legal-hold` obey; storage does not enforce it",
    ),
    Verb.SET_SCHEDULE: Capability(support=Support.UNSUPPORTED, detail="restic has no scheduler"),
    Verb.PUBLISH: Capability(support=Support.UNSUPPORTED, detail="restic has no read-only mount that a service could keep up"),
    Verb.MARK_INFECTED: Capability(support=Support.UNSUPPORTED, detail="restic knows no state of infection"),
}


def connect(pool: Pool, configuration: Configuration, incident_id: str, clock: Clock) -> Restic:
    """Return restic on the incident's repository in the pool."""
    return Restic(RepositoryPlace.of(pool, configuration, incident_id), clock)


class Restic(LocalRepository):
    """The `Provider` port on restic."""

    program = "restic"
    install_hint = "apt-get install restic, or put a release of restic on PATH (`pip install restic` is another program)"

    def _restic(self) -> ResticCommand:
        return ResticCommand(self.program_path(), self.place)

    def engine(self) -> str:
        """Return `restic` and its version."""
        return f"restic {self._restic().version}"

    def describe(self) -> Description:
        """Return what restic can do."""
        return Description(provider="restic", engine=self.engine(), capabilities=CAPABILITIES, proved_on=PROVED_ON)

    def repository_exists(self) -> bool:
        """Return whether the repository has its config file."""
        try:
            return (self.place.repository / "config").exists()
        except OSError as error:
            raise StorageError(f"{self.place.repository} cannot be read", error.strerror) from error

    def check_repository(self) -> None:
        """Open the repository with the password, without a lock."""
        self._restic().ask("opening the repository", "cat", "config", "--no-lock")

    def prepare(self, keep_open: Sequence[int] = ()) -> str:
        """Create the repository when it is missing; return method and key id."""
        restic = self._restic()
        self.make_repository_folder()
        with repository_made_once(self.place):
            if not self.repository_exists():
                restic.ask("making the repository", "init")
        # `key list` takes a lock whatever it is told.
        listed = restic.change("opening the repository", "key", "list", wait=BACKUP_WAIT_SECONDS)
        for key in read_array(listed.stdout):
            if key.get("current"):
                return f"restic AES-256-CTR with Poly1305-AES, key {key['id']}"
        raise ProviderError(f"the key of {self.place.repository} cannot be named", "restic lists no current key")

    def estimate(self, workload: Workload) -> Estimate:
        """Return what a backup would add: by a dry run when there is an earlier snapshot, else the source's size."""
        if workload.application is None and self.repository_exists() and self._snapshots(f"asset={workload.asset}"):
            text = self._restic().ask(
                "the dry run", "backup", "--dry-run", "--no-lock", "--host", workload.asset, "--", *workload.paths,
                timeout=COPY_TIMEOUT_SECONDS,
            )  # fmt: skip
            for line in json_lines(text):
                if line.get("message_type") == "summary":
                    return Estimate(
                        bytes=line["data_added"], files=line["total_files_processed"], method="restic backup --dry-run"
                    )
        return super().estimate(workload)

    def copy(self, order: CopyOrder) -> Copied:
        """Make a snapshot. Exit code 3 (something could not be read) leaves one that is incomplete."""
        restic = self._restic()
        summary: dict[str, object] = {}

        def watch(line: str) -> None:
            found = read_line(line) or {}
            if found.get("message_type") == "status":
                order.progress(int(found.get("bytes_done", 0)), order.total)
            elif found.get("message_type") == "summary":
                summary.update(found)

        tags = {"incident": self.place.incident, "asset": order.asset, "job": order.job, "key": order.key, **order.tags}
        arguments = ["backup", "--host", order.asset]
        arguments += [part for name, value in tags.items() for part in ("--tag", _tag(name, value))]
        if order.full:
            arguments.append("--force")  # An intruder sets times back: every byte is read again.
        for path in order.excluded:
            arguments += ["--exclude", re.sub(r"([\\*?\[])", r"\\\1", str(path))]
        if self.place.pool.upload_limit_kib:
            arguments += ["--limit-upload", str(self.place.pool.upload_limit_kib)]
        done = restic.change(
            "the backup",
            *arguments,
            "--",
            *map(str, order.sources),
            good=(0, PARTLY_READ),
            timeout=COPY_TIMEOUT_SECONDS,
            on_line=watch,
            keep_open=order.keep_open,
            wait=BACKUP_WAIT_SECONDS,
        )
        stored = self._snapshots(_tag("key", order.key))
        if not stored or not summary:
            raise ProviderError("restic reported no snapshot", f"exit code {done.code}", "look at the job's log")
        unreadable = unreadable_items(done.stderr)
        findings = [f"restic could not read: {name_paths(unreadable)}"] if unreadable else []
        if "does not exist, skipping" in done.stderr:
            findings.append("restic skipped a source that went away")
        return Copied(
            reference=stored[-1].reference,
            files=int(str(summary["total_files_processed"])),
            bytes=int(str(summary["total_bytes_processed"])),
            complete=done.code == 0 and not findings,
            findings=tuple(findings),
        )

    def find_copy(self, key: str, job: str) -> Copied | None:
        """Return the snapshot of this key, its regular files counted anew, or None."""
        stored = self._snapshots(_tag("key", key))
        if not stored:
            return None
        counts = [0, 0]

        def count(line: str) -> None:
            found = read_line(line) or {}
            if found.get("type") == "file":
                counts[0] += 1
                counts[1] += int(found.get("size", 0))

        restic = self._restic()
        done = restic.call("ls", "--no-lock", stored[-1].reference, timeout=COPY_TIMEOUT_SECONDS, on_line=count)
        if done.code != 0:
            raise restic.error("listing the snapshot", done)
        return Copied(stored[-1].reference, counts[0], counts[1], complete=True)

    def list_copies(self) -> list[StoredCopy]:
        """Return the incident's snapshots, oldest first."""
        return self._snapshots()

    def _snapshots(self, tag: str = "") -> list[StoredCopy]:
        chosen = ["--tag", tag] if tag else []
        text = self._restic().ask("listing the snapshots", "snapshots", "--no-lock", *chosen)
        found: list[StoredCopy] = []
        for item in read_array(text):
            tags: list[str] = item.get("tags") or []
            named: dict[str, str] = dict(part.split("=", 1) for part in tags if "=" in part)
            found.append(
                StoredCopy(
                    reference=item["id"],
                    original=item.get("original") or item["id"],
                    key=unquote(named.get("key") or str(item["id"])),
                    asset=unquote(named.get("asset") or str(item["hostname"])),
                    taken_at=read_moment(item["time"]),
                    tags=frozenset(tags),
                )
            )
        return sorted(found, key=lambda stored: stored.taken_at)

    def _find(self, point: RestorePoint) -> StoredCopy:
        """Return the snapshot of a restore point, also when a tag changed its id."""
        wanted = {point.reference, *point.former_references}
        for stored in self._snapshots():
            if {stored.reference, stored.original} & wanted:
                return stored
        raise ProviderError(
            f"the snapshot {point.reference} of {point.id} is not in the repository",
            f"{self.place.repository} was looked through, former ids included",
            "find out who removed it: nothing of this product does so unasked",
        )

    def verify(self, restore_point: RestorePoint) -> Verification:
        """Read back all data of the repository. Plain `check` would not notice a flipped byte."""
        restic = self._restic()
        method = f"restic check --read-data (restic {restic.version})"
        self._find(restore_point)
        # Without a lock a running backup of the same incident is not held up; but then a fault may only be its traces,
        # so a fault counts after it was seen again under the lock.
        done = restic.call("check", "--read-data", "--no-lock", timeout=COPY_TIMEOUT_SECONDS)
        if done.code != 0:
            done = restic.call("check", "--read-data", timeout=COPY_TIMEOUT_SECONDS)
        if done.code == 0:
            return Verification(outcome=Outcome.SUCCEEDED, method=method)
        if restic.is_about_access(done):
            raise restic.error("reading back", done)
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        return Verification(outcome=Outcome.FAILED, method=method, findings=tuple(said[:NAMED_PATHS]))

    def open_read_only(self, restore_point: RestorePoint, into: Path) -> Path:
        """Restore the snapshot below `into`, without a lock: nothing is written to the repository."""
        require_empty(into)
        restic = self._restic()
        reference = self._find(restore_point).reference
        arguments = ["restore", reference, "--no-lock", "--target", str(into)]
        done = restic.call(*arguments, timeout=COPY_TIMEOUT_SECONDS)
        if done.code != 0:
            raise restic.error("the restore", done)
        return into

    def set_retention(self, restore_point: RestorePoint, until: datetime) -> RestorePoint:
        """Tag the snapshot with the day until which our delete refuses."""
        stored = self._find(restore_point)
        old = [tag for tag in stored.tags if tag.startswith("keep-until=")]
        return self._retag(restore_point, stored, add=[_tag("keep-until", format_time(until))], remove=old)

    def hold(self, restore_point: RestorePoint, hold: str, *, on: bool) -> RestorePoint:
        """Tag the snapshot with the hold; `legal-hold` stays until the last hold is released."""
        stored = self._find(restore_point)
        mine = _tag("hold", hold)
        others = [tag for tag in stored.tags if tag.startswith("hold=") and tag != mine]
        if on:
            return self._retag(restore_point, stored, add=[mine, LEGAL_HOLD], remove=[])
        return self._retag(restore_point, stored, add=[], remove=[mine] if others else [mine, LEGAL_HOLD])

    def _retag(self, point: RestorePoint, stored: StoredCopy, *, add: list[str], remove: list[str]) -> RestorePoint:
        """Change tags: restic writes a new snapshot with a new id, and `original` keeps the first one."""
        add = [tag for tag in add if tag not in stored.tags]
        remove = [tag for tag in remove if tag in stored.tags and tag not in add]
        if not add and not remove:
            return renamed(point, stored.reference)
        # `--set` is one change: there is no moment with half of the tags.
        tags = sorted((stored.tags | {*add}) - {*remove})
        arguments = [part for tag in tags for part in ("--set", tag)]
        self._restic().change("changing the tags", "tag", *arguments, stored.reference)
        return renamed(point, self._find(point).reference)

    def delete(self, restore_point: RestorePoint) -> None:
        """Remove the snapshot and its data. Refuses while a hold or a retention tag stands."""
        stored = self._find(restore_point)
        if LEGAL_HOLD in stored.tags:
            raise ProviderError(f"{restore_point.id} cannot be deleted", "it is under legal hold", "release every hold first")
        for tag in stored.tags:
            name, _, value = tag.partition("=")
            if name == "keep-until" and parse_time(unquote(value)) > self.clock.now():
                raise ProviderError(f"{restore_point.id} cannot be deleted", f"it is kept until {unquote(value)}")
        self._restic().change("the deletion", "forget", "--prune", stored.reference, timeout=COPY_TIMEOUT_SECONDS)


LOCAL = Restic


def _tag(name: str, value: str) -> str:
    """Return a tag; restic splits tags at commas, so they are written as percent codes."""
    return f"{name}={quote(value, safe='/:+@=~ ')}"
