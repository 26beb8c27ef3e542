"""Plays the demonstration through the same commands that a person would type; each is a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from snaphold.demo.estate import APPROVER, PLAYBOOK, REQUESTER, Estate
from snaphold.errors import EXIT_DONE, EXIT_FINDINGS, SnapholdError
from snaphold.hosts.base import CompletedCommand
from snaphold.hosts.local import run_command

RUN_SECONDS = 500.0
COMMAND_SECONDS = 240.0
REASON = "The loader is real; back up before it spreads (second identity of the demonstration)"
Fields = Mapping[str, Any]
Listener = Callable[[Fields], None]


def run_playbook(estate: Estate, on_step: Listener, on_approval: Listener) -> dict[str, Any]:
    """Run the shipped playbook as the requester; the second identity answers the gate. Return the run's summary.

    Raises SnapholdError when the run does not end done.
    """
    told: list[dict[str, Any]] = []
    faults: list[SnapholdError] = []

    def read(line: str) -> None:
        fields = _object(line)
        told.append(fields)
        if fields.get("message_type") == "step":
            on_step(fields)
        elif fields.get("message_type") == "waiting" and "id" in fields and not faults:
            try:
                on_approval(_answer(estate, str(fields["id"])))
            except SnapholdError as error:
                faults.append(error)
                _snaphold(estate, "runs", "cancel", str(fields["run"]), "--as", REQUESTER, "--json")

    argv = _argv(estate, "run", PLAYBOOK, "--incident", str(estate.incident), "--as", REQUESTER, "--json")
    argv += ["--justification", "Ransomware loader seen on the file server"]
    done = run_command(argv, timeout=RUN_SECONDS, on_line=read)
    if faults:
        raise faults[0]
    summaries = [fields for fields in told if fields.get("message_type") == "summary"]
    summary = summaries[-1] if summaries else {}
    if done.code != EXIT_DONE or summary.get("status") != "done":
        raise _failure("the playbook did not end well", done, str(summary.get("why") or ""))
    return summary


def _answer(estate: Estate, approval: str) -> dict[str, Any]:
    done = _snaphold(estate, "approvals", "approve", approval, "--as", APPROVER, "--reason", REASON, "--json")
    if done.code != EXIT_DONE:
        raise _failure("the second identity could not approve", done)
    return _object(done.stdout)


def compare_with_now(estate: Estate, restore_point: str) -> dict[str, Any]:
    """Compare a restore point with its source as it is now, and return the output of evidence.compare."""
    done = _snaphold(
        estate,
        *("do", "evidence.compare", "--before", restore_point),
        *("--incident", str(estate.incident), "--as", REQUESTER, "--json"),
    )
    if done.code not in (EXIT_DONE, EXIT_FINDINGS):
        raise _failure("the states could not be compared", done)
    return _object(done.stdout)


def verify_evidence(estate: Estate, package: Path) -> dict[str, Any]:
    """Verify the sealed package as a stranger would, with the trust folder and no configuration; return the report."""
    argv = [*_python(), "evidence", "verify", str(package), "--trust", str(estate.folder / "trust"), "--json"]
    done = run_command(argv, timeout=COMMAND_SECONDS)
    report = _object(done.stdout)
    if done.code not in (EXIT_DONE, EXIT_FINDINGS) or "status" not in report:
        raise _failure("the evidence does not verify", done, str(report.get("faults") or ""))
    return report


def verify_ledger(estate: Estate) -> dict[str, Any]:
    """Sign the audit trail up to here, verify it, and return the report. Raises SnapholdError when it does not verify."""
    signed = _snaphold(estate, "audit", "checkpoint", "--as", REQUESTER, "--json")
    if signed.code != EXIT_DONE:
        raise _failure("the audit trail could not be signed", signed)
    done = _snaphold(estate, "audit", "verify", "--json")
    report = _object(done.stdout)
    if done.code != EXIT_DONE or report.get("entries_after_checkpoint"):
        raise _failure("the audit trail does not verify", done, str(report.get("faults") or ""))
    return report


def _snaphold(estate: Estate, *words: str) -> CompletedCommand:
    return run_command(_argv(estate, *words), timeout=COMMAND_SECONDS)


def _argv(estate: Estate, *words: str) -> list[str]:
    return [*_python(), *words, "--config", str(estate.configuration)]


def _python() -> list[str]:
    return [sys.executable, "-m", "snaphold"]


def _object(text: str) -> dict[str, Any]:
    """Return a line of JSON as an object; anything else as an empty one."""
    try:
        found: Any = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _failure(what: str, done: CompletedCommand, why: str = "") -> SnapholdError:
    said = _object(done.stderr.strip().rpartition("\n")[2])
    reason = why or str(said.get("message") or "") or done.stderr.strip()[-1000:] or f"exit code {done.code}"
    return SnapholdError(what, f"{reason} {said.get('why') or ''}".strip(), str(said.get("do") or "") or None)
