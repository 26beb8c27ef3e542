"""What a backup job does: prepare the repository, quiesce, inventory and copy, thaw, compare, record."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snaphold.domain.asset import Application
from snaphold.domain.restore_point import QuiesceEvent
from snaphold.errors import ProviderError
from snaphold.providers.base import JobStatus
from snaphold.providers.job_folder import JobFolder, JobJournal, JobOrder
from snaphold.providers.job_result import judge
from snaphold.providers.local_repository import Copied, CopyOrder, LocalRepository
from snaphold.providers.source import leave_out, live_files

if TYPE_CHECKING:
    from snaphold.quiesce.base import FreezeToken, Quiescer, Thaw

CRASH_CONSISTENT = "crash-consistent: no application is described for the asset"


def run_job(
    order: JobOrder, repository: LocalRepository, folder: JobFolder, journal: JobJournal, *, keep_open: Sequence[int]
) -> JobStatus:
    """Make the backup and return the job's last status.

    Raises SnapholdError when nothing that counts was stored: refused, invalid because the freeze ended first, failed.
    """
    workload = order.order.workload
    sources = [Path(text) for text in workload.paths]
    _require(sources)
    # Before any freeze: what may be slow (a new repository) or may fail (the password) must not hold up the application.
    encryption = repository.prepare(keep_open)
    journal.learn(engine=repository.engine(), encryption=encryption, taken_at=journal.clock.now())

    def copy(paths: Sequence[Path], excluded: Sequence[Path]) -> Copied:
        from snaphold.evidence.inventory import take_inventory

        summary = take_inventory([part for path in paths for part in leave_out(path, excluded)], folder.inventory)
        journal.learn(inventory_sha256=summary.sha256)
        return repository.copy(
            CopyOrder(
                key=order.order.key,
                job=order.job,
                asset=workload.asset,
                full=order.order.full,
                tags=order.order.tags,
                sources=paths,
                excluded=excluded,
                inventory=folder.inventory,
                taken_at=journal.facts.taken_at or journal.clock.now(),
                total=summary.bytes,
                progress=journal.progress,
                keep_open=keep_open,
            )
        )

    try:
        if workload.application is None:
            journal.learn(consistency=CRASH_CONSISTENT)
            copied = copy(sources, ())
        else:
            copied = _copy_quiesced(workload.application, Path(order.base), sources, folder, journal, copy)
        return judge(order, repository, folder, journal.facts, copied)
    finally:
        # It holds a readable copy of the application's data.
        shutil.rmtree(folder.staging, ignore_errors=True)


def _require(sources: Sequence[Path]) -> None:
    missing = [str(path) for path in sources if not path.exists()]
    if missing:
        raise ProviderError(
            f"{', '.join(missing)} went away before the backup began",
            "a backup without one of its sources would look complete",
            "mount what is missing, then ask for a new generation",
        )


def _copy_quiesced(
    application: Application,
    base: Path,
    sources: Sequence[Path],
    folder: JobFolder,
    journal: JobJournal,
    copy: Callable[[Sequence[Path], Sequence[Path]], Copied],
) -> Copied:
    """Copy between freeze and thaw. Fails closed: an application that cannot be quiesced is not copied at all."""
    from snaphold.quiesce.base import FreezeError, QuiesceKind
    from snaphold.quiesce.registry import open_quiescer

    quiescer = open_quiescer(application.quiesce)
    description = quiescer.describe()
    check = quiescer.check(application, base)
    journal.note_quiesce("health", "ready" if check.ready else "; ".join(check.reasons))
    if not check.ready:
        raise ProviderError(
            f"the application at {application.location} cannot be brought to a consistent state now",
            "; ".join(check.reasons),
            "heal the application, then ask for a new generation",
        )
    online = description.kind is QuiesceKind.ONLINE
    adapter = " ".join(part for part in (application.quiesce, check.version) if part)
    journal.learn(consistency=f"application-consistent ({adapter}, {description.kind.value})", frozen=not online)
    folder.staging.mkdir(mode=0o700)
    journal.note_quiesce("freeze_requested")
    try:
        token = quiescer.freeze(application, base, folder.staging)
    except FreezeError as error:
        journal.learn(quiesce_log=_in_order(journal.facts.quiesce_log, error.log))
        raise
    try:
        # The application's live files are replaced by its consistent copy: beside it they would only be torn ones.
        excluded = live_files(base / application.location) if online else ()
        paths = _with_copy_paths([source for source in sources if source not in excluded], token)
        journal.note_quiesce("copy_begin", json.dumps(list(token.copy_paths)))
        copied = copy(paths, excluded)
        ended = journal.note_quiesce("copy_end")
    finally:
        thaw = quiescer.thaw(token)
        journal.learn(quiesce_log=_merge(journal.facts.quiesce_log, quiescer, token, thaw))
    if not thaw.valid or (not online and ended.at > token.deadline):
        raise ProviderError(
            "the backup is invalid: the freeze ended before the copy did",
            f"thawed by {thaw.reason} at {thaw.at.isoformat()}; the stored copy {copied.reference} does not count",
            "raise freeze_deadline of the application, or use an adapter that freezes nothing",
        )
    return copied


def _with_copy_paths(sources: Sequence[Path], token: FreezeToken) -> list[Path]:
    copies = [Path(path) for path in token.copy_paths]
    return [*sources, *(path for path in copies if path not in sources and not any(root in path.parents for root in sources))]


def _merge(own: Sequence[QuiesceEvent], quiescer: Quiescer, token: FreezeToken, thaw: Thaw) -> tuple[QuiesceEvent, ...]:
    """Return the job's lines and the adapter's; the thaw stands at the end also when the adapter left it out."""
    lines = [*quiescer.evidence(token)]
    if not any(line.event == "thawed_at" for line in lines):
        lines.append(QuiesceEvent(at=thaw.at, event="thawed_at", detail=thaw.reason))
    return _in_order(own, lines)


def _in_order(own: Sequence[QuiesceEvent], adapter: Sequence[QuiesceEvent]) -> tuple[QuiesceEvent, ...]:
    """Return both logs in order of time. The adapter knows more about its own request to freeze than the job does."""
    asked = any(line.event == "freeze_requested" for line in adapter)
    kept = [line for line in own if not (asked and line.event == "freeze_requested")]
    return tuple(sorted([*kept, *adapter], key=lambda line: line.at))
