"""Changes of the change system that cover what an incident needs done."""

from __future__ import annotations

from pydantic import Field

from snaphold.domain.value import Identifier, Moment, Value


class CoveringChange(Value):
    """A change under which emergency actions of one incident are done."""

    id: Identifier
    incident: Identifier
    kind: str = Field(description="emergency: opened for this incident; standard: approved before, for any.")
    integration: Identifier
    number: str = Field(description="The number that people use; of a standard change its name.")
    reference: str = Field(description="The change system's own id.")
    state: str = Field(description="open, approved, closed, cancelled or unknown, when it was last seen.")
    used_by: Identifier
    used_at: Moment
    closed_at: Moment | None = None
    closed_by: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it was opened for the incident and is not closed. A standard change is nobody's to close."""
        return self.kind == "emergency" and self.closed_at is None
