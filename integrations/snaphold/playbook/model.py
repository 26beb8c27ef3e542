"""A playbook as a value: frozen, and written as the same plain JSON document that it is read from."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from snaphold.domain.value import Moment
from snaphold.playbook.node import FieldName, HandlerName, Node, PlaybookName
from snaphold.playbook.step import Argument, Step
from snaphold.playbook.valuetype import ValueType

API_VERSION = "snaphold/v1"
VERSION_PATTERN = r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$"
PLAYBOOK_ID_PATTERN = r"^playbook--[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"


def _read_version(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(VERSION_PATTERN, value):
        raise ValueError(f'a version has three parts, e.g. "1.4.0"; {value!r} does not')
    return value


Version = Annotated[str, BeforeValidator(_read_version), WithJsonSchema({"type": "string", "pattern": VERSION_PATTERN})]


class Metadata(Node):
    """Which playbook this is. Name, version, change record and digest go into every output."""

    name: PlaybookName = Field(description="The file's name without .yaml.", examples=["ransomware-response"])
    id: Annotated[str, StringConstraints(pattern=PLAYBOOK_ID_PATTERN)] = Field(
        description="Stays the same for ever.", examples=["playbook--7c1f3f0e-5a55-4c7e-9a0d-0d4f5be1a001"]
    )
    version: Version = Field(description="Three parts.", examples=["1.4.0"])
    change_record: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(
        description="The change that approved this version.", examples=["CHG0042137"]
    )
    severity: int = Field(default=50, strict=True, ge=0, le=100, description="0 to 100, 100 is the worst.", examples=[90])
    on_error: HandlerName | None = Field(
        default=None, description="The handler for every failure that no step handles.", examples=["leave_report"]
    )
    description: str = Field(default="", max_length=2000, description="What it is for.", examples=["Ransomware by tier."])
    created: Moment | None = Field(default=None, description="RFC 3339, quoted.", examples=["2026-11-22T00:00:00Z"])
    modified: Moment | None = Field(default=None, description="RFC 3339, quoted.", examples=["2026-11-22T00:00:00Z"])


class InputDeclaration(Node):
    """An input. It is required, or it has a default: a missing value is never a pass."""

    type: ValueType = Field(description="string, integer, boolean or list.", examples=["list"])
    required: bool = Field(default=False, strict=True, description="It must be given.", examples=[True])
    default: Argument | None = Field(default=None, description="The value when it is not given.", examples=[""])
    description: str = Field(default="", max_length=500, description="What it is.", examples=["The assets in scope."])


class PlaybookFile(Node):
    """What an author writes."""

    api_version: Literal["snaphold/v1"] = Field(alias="apiVersion", description="Of the language.", examples=[API_VERSION])
    kind: Literal["Playbook"] = Field(description="Always Playbook.", examples=["Playbook"])
    metadata: Metadata = Field(description="Which playbook this is.", examples=[{}])
    inputs: dict[FieldName, InputDeclaration] = Field(default_factory=dict, description="What it is given.", examples=[{}])
    steps: tuple[Step, ...] = Field(description="What it does, in order.", examples=[[]])
    handlers: dict[HandlerName, tuple[Step, ...]] = Field(
        default_factory=dict, description="Steps that run after a failure or a refusal.", examples=[{}]
    )


class Playbook(PlaybookFile):
    """A playbook that was read from a file; `digest` is the SHA-256 of the file's bytes, in hex.

    `model_dump(mode="json")` and `to_document()` give plain JSON from which `Playbook.model_validate` makes an equal one.
    """

    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file.", examples=["0" * 64])

    @property
    def name(self) -> str:
        """The playbook's name."""
        return self.metadata.name

    def to_document(self) -> dict[str, Any]:
        """Return the playbook as plain JSON data under the keys of the file; pinned as the input of a run."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
