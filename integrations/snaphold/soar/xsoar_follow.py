"""A backup at the product itself as XSOAR commands: one starts it and follows it to its end, one asks where it stands.

XSOAR calls a polling command again and again with the arguments that it got back. The first call starts the job, or finds
what the same step started; every later one carries the job and asks only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from snaphold.action import find_action
from snaphold.errors import InputError, ProviderError, SnapholdError
from snaphold.execute import validate
from snaphold.recorded import redact_document
from snaphold.soar.answers import DONE, RUNNING
from snaphold.soar.followed import STATUS, end_error, late_error, naming_job, standing_of
from snaphold.soar.products import POOL
from snaphold.soar.xsoar_call import Use, again, context_of, ended, finish, polled, timeout_of
from snaphold.soar.xsoar_text import error_text, plain, result_text

TITLE = "Backup"


def run_backup(use: Use, status_command: str) -> Any:
    """Start a backup once and ask about its job until it has ended. Raises for every end that is no success.

    `use` is one of backup.start. A start that fails, or whose outcome is unknown, is an error at once: only a job that is
    known is polled, so that no poll ever starts one.
    """
    validate(use.entry, use.given)
    if use.arguments.get("began") and not use.arguments.get("job_id"):
        raise InputError(
            "the poll has lost its job", "job_id is empty", "run the command again: the same step finds what it started"
        )

    def turn(arguments: dict[str, Any]) -> Any:
        job = str(arguments.get("job_id") or "") or str(ended(use.call())["job"])
        return _ask(use, {**arguments, "job_id": job}, {"pool": POOL, "job": job}, status_command)

    return polled(use, turn)


def show_status(use: Use, status_command: str) -> Any:
    """Ask about a job once; with the argument `polling`, until it has ended. Raises for every end that is no success."""
    validate(use.entry, use.given)
    follows = str(use.arguments.get("polling") or "").lower() == "true"

    def turn(arguments: dict[str, Any]) -> Any:
        job = {name: str(arguments[name]) for name in ("pool", "job")}
        return _ask(use, arguments, job, status_command, follows=follows)

    return polled(use, turn)


def _ask(use: Use, arguments: dict[str, Any], job: Mapping[str, str], status_command: str, *, follows: bool = True) -> Any:
    question = replace(use, entry=find_action(STATUS), arguments={**use.arguments, **job})
    within, asset = f"{timeout_of(use)} seconds", str(question.given["asset"])
    told = f"asset={asset} pool={job['pool']} job={job['job']}"
    do = f"follow it further with !{status_command} {told} polling=true, or cancel it in the product; do not start another"
    try:
        answer = {**ended(question.call()), "asset": asset, **job}
    except SnapholdError as error:
        if not follows or not isinstance(error, ProviderError) or not error.retryable:
            raise naming_job(error, job["job"]) from error
        shown = f"The question about job {plain(job['job'])} got no answer and is asked again. {error_text(error)}"
        return again(use, arguments, shown, late=late_error(job["job"], within, do, error))
    standing = standing_of(answer)
    if standing == RUNNING and follows:
        answer = redact_document(answer)
        shown = result_text(f"{TITLE} so far", answer)
        return again(use, arguments, shown, late=late_error(job["job"], within, do), outputs=context_of(use, answer))
    if standing in (RUNNING, DONE):
        return use.server.PollResult(response=finish(use, answer, TITLE))
    raise end_error(answer, job["job"])
