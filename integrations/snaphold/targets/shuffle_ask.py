"""The workflow that tells people of a question, and the trigger of the next pass.

The gate itself stands in the playbook's own workflow: its passes ask Snaphold how the question stands. People answer in
Snaphold; no answer at all means no.
"""

from __future__ import annotations

from snaphold.playbook.model import Playbook
from snaphold.targets.base import Stamp
from snaphold.targets.shuffle_parts import SUCCESS, Drawing, Json, Node, document, labels_in_rows, subflow, workflow_id

TELL = "approvers"
_NEXT = (SUCCESS, ("way", "next"))


def tell_workflow(playbook: Playbook, source: Stamp) -> Json:
    """Return the workflow that hands a question to the node that sends it, which is for you to add."""
    drawing = Drawing(playbook.metadata.id, TELL, f"Snaphold {playbook.name}: tell the approvers", "question")
    places = labels_in_rows(["question", "tell"], 100, 100)
    told = {"run": "$exec.run", "step": "$exec.step"}
    drawing.add(Node("question", "put_question", told, places["question"], "Reads the question"))
    about = "Add a node after this one that sends the question"
    drawing.add(Node("tell", "tell_approvers", {"question": "$question.text"}, places["tell"], about))
    drawing.lead("question", "tell", *_NEXT)
    return document(drawing, source, "Tells the approvers. Add a node that sends mail or chat messages after `tell`.")


def again(playbook: Playbook, position: tuple[float, float]) -> Node:
    """Return the trigger that starts the next pass of a run."""
    told = {"run": "$again.run", "pass": "$again.pass"}
    return subflow("again-start", workflow_id(playbook.metadata.id, "run"), told, position, "Starts the next pass")
