"""A question to people on Shuffle: asked, answered, counted and recorded in Snaphold; the passes of a run look for the end.

Shuffle's own links need no login, so they prove nobody. People answer in Snaphold, each in an own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from snaphold.action import find_action
from snaphold.clock import format_time, parse_duration, parse_time
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, NotAuthorisedError, SnapholdError, UnknownOutcomeError
from snaphold.execute import action_key
from snaphold.soar.answers import Job
from snaphold.soar.client import ServiceClient
from snaphold.soar.shuffle_flow import Desk
from snaphold.soar.shuffle_step import LOST_ANSWERS, NEXT, failure, key_place, waiting

ASK, STATUS, ISSUE = "approval.ask", "approval.status", "authority.issue_grant"
MARGIN = timedelta(minutes=10)
"""So much longer than the people a run waits for a service that says nothing; then nobody has approved."""
_FINAL = (InputError, NotAuthorisedError)


def approval(desk: Desk, client: ServiceClient, place: str, terms: Mapping[str, str]) -> dict[str, Any]:
    """Return where a question stands: `ask` (tell the people now), `waiting`, `approved`, `denied`, `timeout`.

    `terms` are the inputs of approval.ask; `joins` names the gate whose question was escalated. A fault is a failed step.
    """
    memory, name = desk.memory, f"gate.{place}"
    gate = memory.recall(name)
    if "answer" in gate:
        return cast("dict[str, Any]", gate["answer"])
    try:
        if "approval" not in gate:
            gate |= _open(desk, client, place, terms)
            answer: dict[str, Any] = {"success": True, "way": "ask", "run": memory.run}
        else:
            answer = _stand(desk, client, place, gate, terms)
    except UnknownOutcomeError as error:
        gate["lost"] = int(gate.get("lost", 0)) + 1
        answer = waiting(f"the service gave no clear answer: {error.what}") if gate["lost"] <= LOST_ANSWERS else failure(error)
    except SnapholdError as error:
        answer = failure(error)
    if answer["way"] not in ("ask", "waiting"):
        gate["answer"] = answer
    memory.record(name, gate)
    return answer


def _open(desk: Desk, client: ServiceClient, place: str, terms: Mapping[str, str]) -> dict[str, Any]:
    """Return the gate with its question in the service: that of the gate before, or a new one under the step's key."""
    now = desk.clock.now()
    joined = terms.get("joins", "")
    second = parse_duration(terms["escalate_within"]) if terms.get("escalate_within") else timedelta(0)
    until = format_time(now + parse_duration(terms["within"]) + second + MARGIN)
    told = {"question": terms["question"], "asked_of": terms["asked_of"], "until": until}
    if joined:
        before = desk.memory.recall(f"gate.{joined}")
        if "approval" not in before:
            raise InputError("the question was never asked", f"there is none of {joined}")
        return {**told, "approval": str(before["approval"])}
    given = {name: value for name, value in terms.items() if name != "joins" and value != ""}
    found = _call(desk, client, ASK, given, place)
    return {**told, "approval": str(found["approval"])}


def _stand(
    desk: Desk, client: ServiceClient, place: str, gate: Mapping[str, Any], terms: Mapping[str, str]
) -> dict[str, Any]:  # fmt: skip
    try:
        found = _call(desk, client, STATUS, {"approval": gate["approval"]}, place)
    except _FINAL:
        raise
    except SnapholdError as error:
        if desk.clock.now() >= parse_time(str(gate["until"])):
            return {"success": True, "way": "timeout", "why": f"nobody could be asked how it stands: {error.what}"}
        return waiting(f"the service does not answer: {error.what}")
    decision, why = str(found.get("decision")), "; ".join(found.get("answers") or [])
    if decision == "approved":
        grant = _grant(desk, client, place, gate) if terms.get("role") else ""
        return {"success": True, "way": "approved", "why": why, "grant": grant, "approval": gate["approval"]}
    if decision == "denied":
        return {"success": True, "way": "denied", "why": why}
    goes_on = bool(terms.get("escalate_to")) and not terms.get("joins")
    if decision == "expired" or (goes_on and found.get("escalated") is True):
        return {"success": True, "way": "timeout", "why": f"nobody decided within {terms['within']}"}
    if desk.clock.now() >= parse_time(str(gate["until"])):
        return {"success": True, "way": "timeout", "why": "the service never said that the time is over"}
    return waiting(f"{found.get('asked_of') or terms['asked_of']} has not decided")


def _grant(desk: Desk, client: ServiceClient, place: str, gate: Mapping[str, Any]) -> str:
    own = place.partition("@")[0].removesuffix("-escalation")
    found = _call(desk, client, ISSUE, {"approval": gate["approval"]}, f"{own}_grant")
    return str(found["grant"])


def _call(desk: Desk, client: ServiceClient, action: str, given: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return an action's result. Raises UnknownOutcomeError when it goes on as a job: it is asked for again."""
    run, entry = desk.memory.recall("run"), find_action(action)
    if not run:
        raise InputError("there is no such run", desk.memory.run)
    incident = cast("dict[str, Any] | str", run.get("incident") or "")
    incident_id = str(incident["id"]) if isinstance(incident, dict) else incident
    step = key_place(run, place, entry)
    key = "" if action == STATUS else action_key(entry, given, incident_id, step).replace(" ", "_")
    found = client.call(action, given, key=key, justification=str(run.get("justification", "")), incident=incident)
    if isinstance(found, Job):
        if found.error is not None:
            raise found.error
        raise UnknownOutcomeError(f"{action} goes on in the service", "it takes longer than a call", "it is asked for again")
    if found.get("outcome") != Outcome.SUCCEEDED.value:
        raise SnapholdError(f"{action} says {found.get('outcome')}", "; ".join(found.get("findings") or []) or None)
    return found


def put_question(desk: Desk, place: str) -> dict[str, Any]:
    """Return the text of an open question, for the people who are asked. It says how to answer."""
    gate = desk.memory.recall(f"gate.{place}")
    if "approval" not in gate:
        raise InputError("there is no such question", f"{desk.memory.run} {place}")
    approval = gate["approval"]
    told = (
        f"For {gate['asked_of']}: {gate['question']} Answer in Snaphold, in your own name: "
        f"snaphold approvals approve {approval} --reason TEXT (or deny)"
    )
    return {"success": True, "way": NEXT, "approval": approval, "text": told}
