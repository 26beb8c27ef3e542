"""How a process lets go of a run.

Letting go is not an ending. A run that is left (interrupted, standing at a gate, ledger out of reach) keeps all that it
has recorded, and the next process takes it up at the same place.
"""

from __future__ import annotations

from snaphold.errors import SnapholdError


class RunLeftError(BaseException):
    """This process lets go of the run. No `Exception`, so that nothing takes it for a failure and records it.

    `waiting`: the run stands at a gate. `cause`: why the process cannot go on; None when somebody asked it to stop.
    """

    def __init__(self, *, waiting: bool = False, cause: Exception | None = None) -> None:
        super().__init__("the run was left")
        self.waiting = waiting
        self.cause = cause


class OtherVersionError(SnapholdError):
    """The run was begun by another version of the run engine, and only that one can go on with it."""
