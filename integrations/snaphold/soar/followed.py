"""A backup that is followed at the product itself: what an answer about its job means, on XSOAR and on Shuffle alike.

A job is started once and then only asked about. `running` is no end, and an end that nobody knows is no success.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snaphold.domain.outcome import Outcome
from snaphold.errors import ProviderError, SnapholdError, TimedOutError, UnknownOutcomeError
from snaphold.providers.base import JobState
from snaphold.soar.answers import DONE, FAILED, RUNNING, UNKNOWN
from snaphold.soar.xsoar_text import findings_of

START, STATUS = "backup.start", "backup.status"
"""The pair of actions: one starts the job, one asks about it."""
RUN = "backup.run"
"""What both together are called where a SOAR can poll by itself; it is no action of its own."""
_GOOD = (Outcome.SUCCEEDED.value, Outcome.PARTIAL.value)


def standing_of(answer: Mapping[str, Any]) -> str:
    """Return where a job stands by an answer of `backup.status`: running, done, failed or unknown."""
    state, outcome = answer.get("state"), answer.get("outcome")
    if state == JobState.RUNNING.value:
        return RUNNING
    if state == JobState.FAILED.value or outcome == Outcome.FAILED.value:
        return FAILED
    return DONE if state == JobState.DONE.value and outcome in _GOOD else UNKNOWN


def end_error(answer: Mapping[str, Any], job: str) -> SnapholdError:
    """Return the error of a job that ended without success."""
    told = "; ".join(findings_of(answer))
    if standing_of(answer) == FAILED:
        do = "mend the cause, then start it again as new work: another step, or a higher generation"
        return ProviderError("the backup failed", "; ".join(part for part in (f"job {job}", told) if part), do)
    why = "; ".join(part for part in (f"job {job} has ended", told) if part)
    return UnknownOutcomeError("it is not known whether there is a backup", why, "look at the job in the product, then decide")


def late_error(job: str, within: str, do: str, silence: SnapholdError | None = None) -> TimedOutError:
    """Return the error of a job that is not done in time; `silence` is why the last question got no answer."""
    why = f"job {job} still runs"
    if silence is not None:
        why = f"job {job} ran on when it last answered; now it does not: {silence.what}"
    return TimedOutError(f"the backup was not done within {within}", why, do)


def naming_job(error: SnapholdError, job: str) -> SnapholdError:
    """Return the error with the job that it is about: whoever reads it must find what may still run."""
    if job not in f"{error.what} {error.why}":
        error.why = "; ".join(part for part in (error.why, f"job {job} may still run") if part)
    return error
