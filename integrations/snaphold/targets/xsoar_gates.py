"""A question to people as XSOAR tasks: ask in Snaphold, tell the people by mail, wait for their decision, take the grant.

People answer in Snaphold, each in an own name: XSOAR's own questions do not tell who has answered, and take the answer
of the one who asks. Snaphold counts the quorum, escalates, and ends the question when its time is over; XSOAR waits.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from snaphold.clock import format_duration
from snaphold.playbook.step import ApproveStep, Question
from snaphold.soar import xsoar_names as names_
from snaphold.targets import flow as f
from snaphold.targets.flow import FlowNode, NodeKind
from snaphold.targets.xsoar_task import DEFAULT, ERROR, NONE, PLACE, Body, Piece, Task, command, error_path
from snaphold.targets.xsoar_values import Names, argument, compare_path, inline, labelled, text, whole

ASK, STATUS, ISSUE = "approval.ask", "approval.status", "authority.issue_grant"
POLL_SECONDS = 15
MARGIN = timedelta(minutes=10)
"""So much longer than the people XSOAR waits for Snaphold to say that their time is over."""
SILENT, GRANTED, THERE = "silent", "granted", "there is"


def approver_input(asked_of: str) -> str:
    """Return the name of the playbook input that holds the mail addresses of a group of approvers."""
    return "approvers_" + "".join(char if char.isalnum() and char.isascii() else "_" for char in asked_of.partition("/")[2])


def gate(node: FlowNode, step: ApproveStep, names: Names, why: str) -> Piece:
    """Return the tasks of a gate, or of its escalation. Every way but an approval ends it; a fault is never a pass."""
    question = step.approve
    second = question.escalate if node.kind is NodeKind.ESCALATION else None
    asked_of, within = (second.to, second.within) if second else (question.asked_of, question.within)
    ends = question.escalate is None or second is not None
    tasks: list[Task] = []
    failing: list[tuple[Task, str]] = []
    if second is None:
        ask = command(node, "ask", names_.command_name(ASK), node.title, _terms(step.id, question, names, why))
        tasks.append(ask)
        failing.append((ask, ERROR))
    has_mail, mail = _tell(node, question, asked_of, step.id, names)
    wait = _wait(node, step.id, within, ends=ends)
    judge = _judge(node, f"{names_.STEP_PREFIX}.{_decision_step(step.id, node)}", ends=ends)
    tasks += [has_mail, mail, wait, judge]
    for task, follower in pairwise(tasks):
        if task.kind == "regular":
            task.after[NONE] = [follower.key]
    has_mail.after = {THERE: [mail.key], DEFAULT: [wait.key]}
    mail.after[ERROR] = [wait.key]
    failing += [(wait, ERROR), (judge, DEFAULT)]
    approved = [(judge, f.APPROVED)]
    if question.grants:
        given: Body = {"approval": _approval(step.id), "step": text(f"{PLACE}{step.id}_grant"), "justification": text(why)}
        grant = command(node, GRANTED, names_.command_name(ISSUE), f"Take the role {question.grants.role}", given)
        judge.after[f.APPROVED] = [grant.key]
        tasks.append(grant)
        failing.append((grant, ERROR))
        approved = [(grant, NONE)]
    exits = {f.APPROVED: approved, f.DENIED: [(judge, f.DENIED)], f.TIMEOUT: [(judge, SILENT)], f.ERROR: failing}
    return Piece(tasks, exits)


def _decision_step(id: str, node: FlowNode) -> str:
    return f"{id}_{'escalated' if node.kind is NodeKind.ESCALATION else 'decision'}"


def _approval(id: str) -> Body:
    return whole(f"{names_.STEP_PREFIX}.{id}", "approval")


def _terms(id: str, question: Question, names: Names, why: str) -> Body:
    found: Body = {
        "question": text(inline(question.ask, names)),
        "asked_of": text(question.asked_of),
        "within": text(format_duration(question.within)),
        "approvals": argument(question.quorum, names),
        "requested_for": text("${incident.owner}"),
        "step": text(PLACE + id),
        "justification": text(why),
        "expects": text("approval:string"),
    }
    if question.escalate:
        found |= {
            "escalate_to": text(question.escalate.to),
            "escalate_within": text(format_duration(question.escalate.within)),
        }
    if question.grants:
        found |= {"role": text(question.grants.role), "role_lasts": text(format_duration(question.grants.lasts))}
    return found


def _tell(node: FlowNode, question: Question, asked_of: str, id: str, names: Names) -> tuple[Task, Task]:
    """Return the test for addresses, and the mail. A mail that fails holds nothing up: the question is open."""
    who = approver_input(asked_of)
    has_mail = Task(node.id, "addresses", "condition", f"Is there an address of {asked_of.partition('/')[2]}?")
    there = {"operator": "isNotEmpty", "left": {"value": whole(f"inputs.{who}"), "iscontext": True}}
    has_mail.body = {"conditions": labelled({THERE: [[there]]})}
    mail = Task(node.id, "mail", "regular", f"Tell {asked_of.partition('/')[2]}")
    mail.task = {"script": "|||send-mail", "iscommand": True, "brand": ""}
    approval = f"${{{names_.STEP_PREFIX}.{id}.approval}}"
    how = f"Answer in Snaphold, in your own name: snaphold approvals approve {approval} --reason TEXT (or deny)"
    body = f"{inline(question.ask, names)} {how}"
    arguments: Body = {"to": text(f"${{inputs.{who}}}"), "subject": text(node.title), "body": text(body)}
    mail.body = {"scriptarguments": arguments, "skipunavailable": True} | error_path()
    return has_mail, mail


def _wait(node: FlowNode, id: str, within: timedelta, *, ends: bool) -> Task:
    until = '$result.state == "done"' + ("" if ends else " or $result.escalated == true")
    arguments: Body = {
        "approval": _approval(id),
        "until": text(until),
        "fail": text('$result.state == "failed"'),
        "interval_in_seconds": text(str(POLL_SECONDS)),
        "timeout_in_seconds": text(str(int((within + MARGIN).total_seconds()))),
        "step": text(PLACE + _decision_step(id, node)),
        "expects": text("decision:string"),
    }
    return command(node, "wait", names_.wait_name(STATUS), f"Wait for: {node.title}", arguments)


def _judge(node: FlowNode, root: str, *, ends: bool) -> Task:
    def said(*words: str) -> list[list[Body]]:
        return [[compare_path(root, "decision", "isEqualString", word) for word in words]]

    # A question that goes on to others is still `waiting` when its first ones have said nothing.
    silent = said("expired") if ends else said("expired", "waiting")
    ways = {f.APPROVED: said("approved"), f.DENIED: said("denied"), SILENT: silent}
    return Task(node.id, "decision", "condition", "What was decided?", {"conditions": labelled(ways)})
