"""Questions that a SOAR asks about a job every few seconds: the service keeps unchanged answers out of the audit trail.

Only actions that tell a job's state count, and only the same question of the same token in the same incident. The
memory is this process's own: after a restart the next question is recorded again, so nothing can be hidden by it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from snaphold.action import AnyAction, Effect
from snaphold.ledger.entry import digest
from snaphold.repeated import Repeat, gist

if TYPE_CHECKING:
    from snaphold.service.jobs import Ended, Order

MOST_REMEMBERED = 10_000
STATE = "state"
"""The field that counts beside outcome and findings: how many bytes are done is no news."""


def tells_state(entry: AnyAction) -> bool:
    """Return whether an action only tells where a job stands, and is therefore asked again and again."""
    return entry.effect is Effect.READS and entry.name.endswith(".status") and STATE in entry.result.model_fields


class Repeats:
    """The last answer to each question. The oldest are forgotten first, and then recorded once more when asked again."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._last: OrderedDict[str, Repeat] = OrderedDict()

    def before(self, order: Order) -> Repeat | None:
        """Return the earlier answer to an order's question; None when it was not asked since the service started."""
        if not tells_state(order.entry):
            return None
        with self._lock:
            return self._last.get(_question(order))

    def note(self, order: Order, ended: Ended) -> None:
        """Remember how a question was answered."""
        if not tells_state(order.entry):
            return
        question, fields = _question(order), (STATE,)
        if ended.result is not None:
            found = gist(str(ended.result.get("outcome")), list(ended.result.get("findings") or []), ended.result, fields)
        else:
            problem = ended.problem or {}
            told = ": ".join(str(part) for part in (problem.get("detail"), problem.get("why")) if part)
            found = gist(str(problem.get("outcome", "failed")), [told], {}, fields)
        with self._lock:
            last = self._last.pop(question, None)
            self._last[question] = Repeat(found, fields, (last.asked if last else 0) + 1)
            while len(self._last) > self._most:
                self._last.popitem(last=False)


def _question(order: Order) -> str:
    return digest([order.token, order.context.incident.id, order.digest])
