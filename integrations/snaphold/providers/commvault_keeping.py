"""How long Commvault keeps a job in a copy: retention of one job, hold, deletion. Each change is read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone

from snaphold.clock import format_time
from snaphold.domain.outcome import Outcome, worst
from snaphold.errors import ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.providers.base import Verification
from snaphold.providers.commvault_answers import Job, KeptJob, KeptJobs, Operated
from snaphold.providers.commvault_session import CommvaultSession

HELD_UNTIL = datetime(2037, 12, 31, tzinfo=timezone.utc)
"""As far ahead as a product that counts seconds in 32 bits can go."""
_AROUND = int(timedelta(days=1).total_seconds())
_VERIFIED = {"Successful": Outcome.SUCCEEDED, "Failed": Outcome.FAILED}


def settle(change: Callable[[], None], is_done: Callable[[], bool], what: str) -> None:
    """Make a change and read back that it is done, also when the answer to it was lost.

    Raises what `change` raises when it was refused, UnknownOutcomeError when nobody can tell, ProviderError when it was
    accepted and did not happen.
    """
    lost: UnknownOutcomeError | None = None
    try:
        change()
    except UnknownOutcomeError as error:
        lost = error
    try:
        done = is_done()
    except SnapholdError as error:
        why = lost.why if lost else "it was accepted, and could not be read back"
        raise UnknownOutcomeError(f"it is not known whether Commvault did {what}", f"{why}; {error.what}") from error
    if done:
        return
    if lost is not None:
        raise lost
    raise ProviderError(f"Commvault accepted {what}, and did not do it", "read back", "look at the job in its copy")


def find_kept(session: CommvaultSession, job: Job, copy: int) -> KeptJob | None:
    """Return a job as one copy has it, None when the copy does not have it (any more)."""
    query = {"startTime": job.started_at - _AROUND, "endTime": max(job.ended_at, job.started_at) + _AROUND}
    path = f"/V4/Plan/BackupDestination/{copy}/Jobs"
    listed = session.get(path, KeptJobs, f"reading the jobs of copy {copy}", query).jobs
    return next((item for item in listed if item.id == job.id and not item.aged), None)


def require_kept(session: CommvaultSession, job: Job, copy: int) -> KeptJob:
    """Return a job as one copy has it. Raises ProviderError when the copy does not have it (any more)."""
    kept = find_kept(session, job, copy)
    if kept is None:
        raise ProviderError(
            f"job {job.id} is not in copy {copy}", "it was deleted, or aged", "look at the job history; it may be in other copies"
        )
    return kept


def keep_until(session: CommvaultSession, job: Job, copies: Sequence[int], until: datetime) -> None:
    """Have every copy keep a job until then; one that keeps it longer is left alone."""
    wanted = int(until.timestamp())
    for copy in copies:
        if require_kept(session, job, copy).until < wanted:
            _retain(session, job, copy, wanted)


def release(session: CommvaultSession, job: Job, copies: Sequence[int], until: datetime | None) -> None:
    """Have every copy that holds a job keep it until then only, with None as long as its plan says.

    A retention that is not our hold was set by somebody else, and is left alone.
    """
    for copy in copies:
        if require_kept(session, job, copy).until != int(HELD_UNTIL.timestamp()):
            continue
        if until is not None:
            _retain(session, job, copy, int(until.timestamp()))
        else:
            _let_age(session, job, copy)


def _retain(session: CommvaultSession, job: Job, copy: int, until: int) -> None:
    settle(
        lambda: _operate(session, job, copy, "RETAIN", until),
        lambda: require_kept(session, job, copy).until == until,
        f"the retention of job {job.id} in copy {copy}",
    )


def _let_age(session: CommvaultSession, job: Job, copy: int) -> None:
    settle(
        lambda: _operate(session, job, copy, "DO_NOT_RETAIN"),
        lambda: require_kept(session, job, copy).until == 0,
        f"the end of the retention of job {job.id} in copy {copy}",
    )


def delete_from(session: CommvaultSession, job: Job, copies: Sequence[int], now: datetime) -> None:
    """Delete a job from copies; where it is gone already, nothing is done.

    Raises ProviderError when it is still retained, or when other jobs depend on it.
    """
    present = [copy for copy in copies if (kept := find_kept(session, job, copy)) and _deletable(kept, copy, now)]
    for copy in present:
        settle(
            lambda copy=copy: _operate(session, job, copy, "DELETE"),
            lambda copy=copy: find_kept(session, job, copy) is None,
            f"the deletion of job {job.id} from copy {copy}",
        )


def _deletable(kept: KeptJob, copy: int, now: datetime) -> bool:
    if kept.until > now.timestamp():
        raise ProviderError(
            f"job {kept.id} is not deleted",
            f"copy {copy} retains it {_told(kept.until)}",
            "release the hold, or wait for that time",
        )
    return True


def _told(until: int) -> str:
    try:
        return f"until {format_time(datetime.fromtimestamp(until, timezone.utc))}"
    except (OverflowError, ValueError, OSError):  # beyond the year 9999
        return "for ever"


def _operate(session: CommvaultSession, job: Job, copy: int, operation: str, until: int | None = None) -> None:
    order: dict[str, object] = {
        "storagePolicyId": job.policy.id,
        "copyId": copy,
        "commcellId": job.commcell,
        "jobIds": [job.id],
        "opType": operation,
    }
    if until is not None:
        order["retainUntilTime"] = until
    if operation == "DELETE":
        order["loadDependentJobs"] = True
    what = f"{operation} of job {job.id} in copy {copy}"
    done = session.change("POST", "/V4/Plan/BackupDestination/JobOperations", Operated, what, order)
    if operation == "DELETE" and done.depended:
        raise ProviderError(
            f"job {job.id} is not deleted from copy {copy}", "other jobs depend on it", "delete those first, newest first"
        )


def verification_of(session: CommvaultSession, job: Job, copies: Sequence[int]) -> Verification:
    """Return what Commvault's own data verification says of a job in every copy; nothing is read back anew."""
    outcomes: list[Outcome] = []
    findings: list[str] = []
    for copy in copies:
        kept = find_kept(session, job, copy)
        if kept is None:
            outcomes.append(Outcome.FAILED)
            findings.append(f"copy {copy} does not have job {job.id} any more")
            continue
        outcome = _VERIFIED.get(kept.checked, Outcome.UNKNOWN)
        outcomes.append(outcome)
        if outcome is not Outcome.SUCCEEDED:
            told = kept.checked or "nothing told"
            findings.append(f"copy {copy}: {told}; run a data verification of it in Commvault, then ask again")
    return Verification(outcome=worst(outcomes), method="what Commvault's data verification told last", findings=tuple(findings))
