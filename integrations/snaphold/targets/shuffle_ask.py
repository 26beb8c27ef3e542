"""The workflows around a gate: one puts the question and records the answer, two more tell people and take a refusal.

The gate itself stays in the playbook's own workflow, whose passes look for the answer and see the time run out. So a
question never holds up anything, two questions never meet in one run, and no answer at all means no.
"""

from __future__ import annotations

from snaphold.playbook.model import Playbook
from snaphold.targets.base import Stamp
from snaphold.targets.shuffle_parts import SUCCESS, Drawing, Json, Node, document, labels_in_rows, subflow, workflow_id

TELL, REFUSE = "approvers", "refusal"
_NEXT = (SUCCESS, ("way", "next"))


def ask_role(gate: str) -> str:
    """Return the role of the workflow that puts the question of a gate."""
    return f"ask-{gate}"


def ask_workflow(playbook: Playbook, gate: str, title: str, source: Stamp) -> Json:
    """Return the workflow that puts one question."""
    id = playbook.metadata.id
    drawing = Drawing(id, ask_role(gate), f"Snaphold {playbook.name}: ask at {gate}", "question")
    places = labels_in_rows(["question", "decision", "approved"], 100, 100)
    drawing.add(
        Node("question", "put_question", {"run": "$exec.run", "step": "$exec.step"}, places["question"], "Reads the question")
    )
    drawing.add(
        Node(
            "decision",
            "User Input",
            {
                "alertinfo": "$question.text",
                "options": "boolean",
                "type": "subflow",
                "email": "",
                "sms": "",
                "subflow": workflow_id(id, TELL),
                "subflow_failure": workflow_id(id, REFUSE),
                "subflow_failure_startnode": "",
            },
            places["decision"],
            title,
            trigger="USERINPUT",
        )
    )
    kept = {"question": "$question.text", "answer": "approved", "by": "$decision.click_info.user"}
    drawing.add(Node("approved", "keep_answer", kept, places["approved"], "Records the approval"))
    drawing.lead("question", "decision", *_NEXT)
    drawing.lead("decision", "approved", SUCCESS)
    return document(drawing, source, f"Puts the question of the gate {gate}.")


def tell_workflow(playbook: Playbook, source: Stamp) -> Json:
    """Return the workflow that hands the question and its links to the node that sends them, which is for you to add."""
    drawing = Drawing(playbook.metadata.id, TELL, f"Snaphold {playbook.name}: tell the approvers", "tell")
    told = {"question": "$exec.information", "continue_link": "$exec.frontend_continue", "abort_link": "$exec.frontend_abort"}
    drawing.add(Node("tell", "tell_approvers", told, (100, 100), "Add a node after this one that sends the links"))
    return document(drawing, source, "Tells the approvers. Add a node that sends mail or chat messages after `tell`.")


def refuse_workflow(playbook: Playbook, source: Stamp) -> Json:
    """Return the workflow that records a refusal."""
    drawing = Drawing(playbook.metadata.id, REFUSE, f"Snaphold {playbook.name}: record a refusal", "refused")
    kept = {"question": "$exec.information", "answer": "denied", "by": "$exec.click_info.user"}
    drawing.add(Node("refused", "keep_answer", kept, (100, 100), "Records the refusal"))
    return document(drawing, source, "Records that the approvers said no.")


def again(playbook: Playbook, position: tuple[float, float]) -> Node:
    """Return the trigger that starts the next pass of a run."""
    told = {"run": "$again.run", "pass": "$again.pass"}
    return subflow("again-start", workflow_id(playbook.metadata.id, "run"), told, position, "Starts the next pass")
