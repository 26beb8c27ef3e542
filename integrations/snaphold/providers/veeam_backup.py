"""Starts our job in Veeam once per key, follows its session to the end, and makes a restore point of what it left."""

from __future__ import annotations

import time
from typing import Any

from snaphold.clock import format_time
from snaphold.config import Pool
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, ProviderError, UnknownOutcomeError
from snaphold.platforms.marker import is_ours
from snaphold.providers import veeam_quick
from snaphold.providers.base import BackupOrder, JobState, JobStatus, Verification
from snaphold.providers.veeam_answers import (
    BackupFile,
    JobAnswer,
    PointAnswer,
    SessionAnswer,
    TaskSession,
    as_document,
    is_id,
)
from snaphold.providers.veeam_job import (
    JOBS,
    OWN_RUN,
    QUICK,
    OwnJob,
    find_job,
    job_document,
    job_name,
    model_of,
    name_prefix,
    read_description,
)
from snaphold.providers.veeam_quick import SESSIONS
from snaphold.providers.veeam_quiesce import consistency_of, quiesce_events
from snaphold.providers.veeam_session import VeeamSession, after_effect
from snaphold.providers.veeam_storage import POINTS, is_in_backups_of, points_of, usable_repository
from snaphold.providers.vendor import restore_point_id

LOOKS = 5
LOOK_PAUSE_SECONDS = 1.0
AWARENESS = ("required", "tried", "off")
"""Values of the pool's setting `guest_processing`, the strictest first."""
_STOPPED, _ACTION_REQUIRED = "stopped", "actionrequired"
_OUTCOMES = {"success": Outcome.SUCCEEDED, "warning": Outcome.PARTIAL, "failed": Outcome.FAILED}


def find_started(session: VeeamSession, key: str) -> str | None:
    """Return the session that was started under a key, or None."""
    job = find_job(session, key)
    found = _session_of(session, job) if job else None
    return found.id if found else None


def _session_of(session: VeeamSession, job: JobAnswer) -> SessionAnswer | None:
    own = read_description(job)
    return veeam_quick.find_session(session, own) if own.way != OWN_RUN else _first_session(session, job)


def _first_session(session: VeeamSession, job: JobAnswer) -> SessionAnswer | None:
    """Return the first run of our job: nobody else knew it before. A later one was begun by hand in the console."""
    listed = session.list(SESSIONS, SessionAnswer, "the sessions", {"jobIdFilter": job.id})
    runs = [run for run in listed if run.job == job.id]
    return min(runs, key=lambda run: session.at(run.created)) if runs else None


def start(session: VeeamSession, pool: Pool, order: BackupOrder) -> str:
    """Make our job for the order's key, run it, and return its session; what is there already is taken up."""
    job = find_job(session, order.key) or _make_job(session, pool, order)
    own = read_description(job)
    if own.way != OWN_RUN:
        return veeam_quick.start(session, order, job, own)
    running = _first_session(session, job)
    if running is not None:
        return running.id

    def look_up() -> SessionAnswer | None:
        for look in range(LOOKS):
            found = _first_session(session, job)
            if found is not None:
                return found
            time.sleep(LOOK_PAUSE_SECONDS if look < LOOKS - 1 else 0.0)
        return None

    started = session.write(
        "POST",
        f"{JOBS}/{job.id}/start",
        SessionAnswer,
        f"starting the backup of {order.workload.name}",
        document={"performActiveFull": order.full, "startChainedJobs": False},
        look_up=look_up,
        refused_too=True,
    )
    return started.id


def _make_job(session: VeeamSession, pool: Pool, order: BackupOrder) -> JobAnswer:
    aware = pool.settings.get("guest_processing", AWARENESS[0])
    if aware not in AWARENESS:
        raise InputError(
            f"guest_processing of the pool {pool.name} is {aware!r}", f"known: {', '.join(AWARENESS)}", "correct the setting"
        )
    repository = usable_repository(session, pool.location)
    model = model_of(session, pool, order.workload.name)
    way = OWN_RUN
    regular = str(model.get("id")) if model else ""
    if regular and veeam_quick.is_allowed(pool) and not order.full and is_in_backups_of(session, order.workload.name, regular):
        way, aware = QUICK + regular, "as in that job"
    own = OwnJob(
        incident=order.incident,
        asset=order.workload.asset,
        machine=order.workload.name,
        pool=pool.name,
        key=order.key,
        aware=aware,
        asked=format_time(session.server_time()),
        way=way,
    )
    document = job_document(order, own, repository.id, model, pool, session.revision())
    name = job_name(own.incident, own.asset, own.key)
    try:
        return session.write(
            "POST", JOBS, JobAnswer, f"making the job {name}", document=document, look_up=lambda: find_job(session, order.key)
        )
    except UnknownOutcomeError as error:
        if "two jobs" in error.what:
            raise
        # A job that was never run backs nothing up: made or not, no backup is in doubt, and the next try finds it.
        raise ProviderError(f"the job {name} could not be made", error.why, "try again", retryable=True) from error


def status(session: VeeamSession, pool: Pool, job: str, incident: str) -> JobStatus:
    """Return where a session stands. A machine that is processed without its restore point being found is unknown."""
    run, own, document = _own_session(session, job, incident)
    if own.pool != pool.name:
        raise InputError(f"{job} is not a backup into the pool {pool.name}", f"it is one into {own.pool}")
    task = _task(session, run, own)
    done = (task.progress.processed or 0) if task and task.progress else 0
    if run.state != _STOPPED:
        waits = ("Veeam waits for a decision in its console",) if run.state == _ACTION_REQUIRED else ()
        total = int(done * 100 / run.percent) if run.percent and done else 0
        return JobStatus(job=run.id, state=JobState.RUNNING, bytes_done=done, bytes_total=total, findings=waits)
    events = quiesce_events(session, task) if task else ()
    outcome, findings = _outcome(run, task)
    point = _point(session, run, task, own) if outcome is not Outcome.FAILED else None
    consistency, doubts = consistency_of(own.aware, events)
    findings = [*findings, *doubts]
    if outcome is not Outcome.FAILED and point is None:
        outcome, findings = Outcome.UNKNOWN, [*findings, "Veeam shows no restore point of this session"]
    if outcome is Outcome.SUCCEEDED and doubts:
        outcome = Outcome.PARTIAL
    state = JobState.FAILED if outcome is Outcome.FAILED else JobState.DONE
    told = JobStatus(
        job=run.id, state=state, outcome=outcome, bytes_done=done, bytes_total=done, quiesce_log=events, findings=tuple(findings)
    )
    if point is None:
        return told
    encryption, remarks = _encryption(document)
    if own.way != OWN_RUN:
        remarks = (*remarks, f"a quick backup: it lies in the repository of the regular job, not in {pool.location}")
    restore_point = RestorePoint(
        id=restore_point_id(own.asset, own.key),
        incident=own.incident,
        asset=own.asset,
        pool=own.pool,
        provider="veeam",
        engine=session.engine(),
        reference=point.id,
        key=own.key,
        taken_at=session.at(point.created),
        outcome=outcome,
        size=point.size or done,
        files=0,
        encryption=encryption,
        consistency=consistency,
        quiesce_log=events,
        findings=(*findings, *remarks),
    )
    return told.model_copy(update={"restore_point": restore_point})


def _own_session(session: VeeamSession, job: str, incident: str) -> tuple[SessionAnswer, OwnJob, dict[str, Any]]:
    if not is_id(job):
        raise InputError(f"{job!r} is not a session of Veeam", "its ids look like 7f2f6f9c-...", "check the job's id")
    run = session.get(f"{SESSIONS}/{job}", SessionAnswer, f"the session {job}")
    document = session.get(f"{JOBS}/{run.job}", dict[str, Any], f"the job of session {job}")
    answer = JobAnswer.model_validate(document)
    if is_ours(answer.name):
        return run, read_description(answer), document
    for candidate in _own_jobs(session, incident):
        own = read_description(candidate)
        if own.session == run.id:
            return run, own, document
    raise InputError(f"the session {job} is no backup of incident {incident}", f"it is one of the job {answer.name!r}")


def _own_jobs(session: VeeamSession, incident: str) -> list[JobAnswer]:
    listed = session.list(JOBS, JobAnswer, "the jobs", {"nameFilter": f"{name_prefix(incident)}*"})
    mine = [job for job in listed if job.name.startswith(name_prefix(incident)) and is_ours(job.name)]
    return [job for job in mine if read_description(job).incident == incident]


def _task(session: VeeamSession, run: SessionAnswer, own: OwnJob) -> TaskSession | None:
    mine = veeam_quick.tasks_of(session, run, own.machine)
    # A machine is tried again within the session when it failed: the last try decides.
    return mine[-1] if mine else None


def _outcome(run: SessionAnswer, task: TaskSession | None) -> tuple[Outcome, list[str]]:
    result = run.result
    word = result.result if result else "none"
    outcome = _OUTCOMES.get(word, Outcome.UNKNOWN)
    findings = [result.message] if result and result.message and outcome is not Outcome.SUCCEEDED else []
    if result and result.cancelled:
        outcome, findings = Outcome.FAILED, [*findings, "it was stopped before its end"]
    if task and task.result and task.result.result == "failed":
        outcome, findings = Outcome.FAILED, [*findings, task.result.message or "the machine could not be processed"]
    if outcome is Outcome.SUCCEEDED and (task is None or task.result is None or task.result.result != "success"):
        outcome, findings = Outcome.PARTIAL, [*findings, "the session succeeded, but Veeam does not say so of the machine"]
    if outcome is not Outcome.SUCCEEDED and not findings:
        findings = [f"Veeam calls its result {word}"]
    return outcome, list(dict.fromkeys(findings))


def _point(session: VeeamSession, run: SessionAnswer, task: TaskSession | None, own: OwnJob) -> PointAnswer | None:
    if task and task.restore_point:
        found = session.find(f"{POINTS}/{task.restore_point}", PointAnswer, "the restore point")
        if found is not None:
            return found
    mine = [point for point in points_of(session, own.machine) if point.session == run.id]
    return mine[0] if len(mine) == 1 else None


def _encryption(document: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    storage = as_document(as_document(document.get("storage")).get("advancedSettings"))
    encryption = as_document(as_document(storage.get("storageData")).get("encryption"))
    if encryption.get("isEnabled") is True:
        key = encryption.get("encryptionPasswordId") or encryption.get("kmsServerId") or "not named"
        return f"Veeam job encryption (AES-256), key {key}", ()
    return "none by Veeam", ("Veeam does not encrypt this backup: set encryption_password, or encrypt the repository's storage",)


def cancel(session: VeeamSession, pool: Pool, job: str, incident: str) -> JobStatus:
    """Stop a session and return how it stands then; one that has ended is left alone."""
    before = status(session, pool, job, incident)
    if before.state is not JobState.RUNNING:
        return before

    def look_up() -> dict[str, Any] | None:
        run = session.get(f"{SESSIONS}/{job}", SessionAnswer, f"the session {job}")
        return {} if run.state in (_STOPPED, "stopping") else None

    shape = dict[str, Any]
    session.write("POST", f"{SESSIONS}/{job}/stop", shape, f"stopping session {job}", look_up=look_up, refused_too=True)
    with after_effect(f"the session {job} was told to stop"):
        for look in range(LOOKS):
            after = status(session, pool, job, incident)
            if after.state is not JobState.RUNNING:
                break
            time.sleep(LOOK_PAUSE_SECONDS if look < LOOKS - 1 else 0.0)
        return status(session, pool, job, incident)


def restore_points(session: VeeamSession, pool: Pool, incident: str) -> list[RestorePoint]:
    """Return the restore points that our jobs of this incident left in this pool, oldest first."""
    found: list[RestorePoint] = []
    for job in _own_jobs(session, incident):
        run = _session_of(session, job) if read_description(job).pool == pool.name else None
        point = status(session, pool, run.id, incident).restore_point if run else None
        if point is not None:
            found.append(point)
    return sorted(found, key=lambda point: (point.taken_at, point.id))


def verify(session: VeeamSession, point: RestorePoint) -> Verification:
    """Look at a restore point and its file as Veeam knows them. Data are not read, so this never proves it."""
    method = "restore point, file and malware state as Veeam knows them"
    kept = session.find(f"{POINTS}/{point.reference}", PointAnswer, "the restore point")
    if kept is None:
        return Verification(outcome=Outcome.FAILED, method=method, findings=("Veeam has no such restore point any more",))
    faults: list[str] = []
    if kept.malware in ("infected", "suspicious"):
        faults.append(f"Veeam marks it as {kept.malware}")
    files = session.list(f"/api/v1/backups/{kept.backup}/backupFiles", BackupFile, "the files of the backup")
    file = next((file for file in files if file.id == kept.file), None)
    if file is None or file.size <= 0:
        faults.append("its file is missing or empty")
    if faults:
        return Verification(outcome=Outcome.FAILED, method=method, findings=tuple(faults))
    unread = "its data were not read back: Veeam checks backups of machines only on a schedule"
    return Verification(outcome=Outcome.PARTIAL, method=method, findings=(unread,))
