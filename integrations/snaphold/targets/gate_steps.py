"""A question to people as the actions that ask it, for targets that write them as they write every other action.

CACAO's own `manual` command knows neither quorum nor requester, and nobody proves who answered. So the question is put
in Snaphold, people answer there, and the player asks until it is decided.
"""

from __future__ import annotations

from datetime import timedelta

from snaphold.playbook.step import ApproveStep, DoStep

POLL_EVERY = "15s"
MARGIN = timedelta(minutes=10)
"""So much longer than the people the player waits for Snaphold to say that their time is over."""


def asking(step: ApproveStep) -> DoStep:
    """Return the action that asks, with the poll for the decision, under the id of the step itself."""
    question = step.approve
    given: dict[str, object] = {
        "question": question.ask,
        "asked_of": question.asked_of,
        "within": _length(question.within),
        "approvals": question.quorum,
    }
    longest = question.within + MARGIN
    if question.escalate:
        longest += question.escalate.within
        given |= {"escalate_to": question.escalate.to, "escalate_within": _length(question.escalate.within)}
    if question.grants:
        given |= {"role": question.grants.role, "role_lasts": _length(question.grants.lasts)}
    return DoStep.model_validate(
        {
            "id": step.id,
            "title": step.title,
            "do": "approval.ask",
            "with": given,
            "out": {"approval": "string", "decision": "string"},
            "poll": {
                "do": "approval.status",
                "with": {"approval": f"${step.id}.approval"},
                "until": '$result.state == "done"',
                "fail": '$result.state == "failed"',
                "every": POLL_EVERY,
                "within": _length(longest),
            },
        }
    )


def granting(step: ApproveStep) -> DoStep:
    """Return the action that takes the role which was approved."""
    return DoStep.model_validate(
        {
            "id": f"{step.id}_grant",
            "title": "Take the role that was approved",
            "do": "authority.issue_grant",
            "with": {"approval": f"${step.id}.approval"},
            "out": {"grant": "string"},
        }
    )


def _length(length: timedelta) -> str:
    return f"{int(length.total_seconds())}s"
