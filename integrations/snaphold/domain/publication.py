"""Publications: restore points that are offered read-only to investigators, for as long as somebody needs them."""

from __future__ import annotations

from pydantic import Field

from snaphold.domain.value import Identifier, Moment, Value


class PublishedRestorePoint(Value):
    """A restore point that is or was published: by whom, for whom, and where it is reached."""

    id: Identifier
    incident: Identifier
    restore_point: Identifier
    pool: Identifier
    name: Identifier = Field(description="For whom or what for.")
    reference: str = Field(description="The product's own id of it.")
    address: str = Field(description="Where it is reached.")
    published_by: Identifier
    published_at: Moment
    until: Moment | None = Field(default=None, description="When the product ends it by itself.")
    ended_by: str = ""
    ended_at: Moment | None = None
