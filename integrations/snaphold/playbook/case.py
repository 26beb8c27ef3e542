"""A case of a playbook: what each action answers, what people decide, and what must come of it. Read from a YAML file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, StrictBool, StringConstraints, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from snaphold.documents import Document, load_document, read_model
from snaphold.domain.incident import Incident, Severity
from snaphold.domain.value import Identifier, Moment
from snaphold.errors import DocumentError
from snaphold.playbook.node import FieldName, Node, PlaybookName, Wait
from snaphold.playbook.schema import DIALECT, tidy_schema
from snaphold.playbook.step import ActionText, Argument

Plain = StrictBool | int | float | str | tuple[str, ...]
"""A value of an action's input or output, as a case writes it."""
CASES = "cases"


class CaseError(DocumentError):
    """A case is wrong; every problem carries file:line:column."""


class _OneOrMore:
    """In the JSON Schema: one item, or a list of them."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        several = handler(core)
        return {"anyOf": [several["items"], several]}


class _TextOrMapping(Node):
    """A mapping that can be written as text when only its first key is needed."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        reference = handler(core)
        schema = handler.resolve_ref_schema(reference)
        mapping = dict(schema)
        first = next(iter(cls.model_fields))
        schema.clear()
        schema["anyOf"] = [dict(mapping["properties"][first]), mapping]
        return reference

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, value: Any) -> Any:
        return {next(iter(cls.model_fields)): value} if isinstance(value, str) else value


class CaseMetadata(Node):
    """Which case this is, and of which playbook."""

    name: PlaybookName = Field(description="The file's name without .yaml.", examples=["approved"])
    playbook: PlaybookName = Field(description="The playbook's name.", examples=["ransomware-response"])
    description: str = Field(default="", max_length=1000, description="What it shows.", examples=["Two people approve."])


class CaseIncident(Node):
    """The incident of a case. What is left out has a plain value."""

    id: Identifier = Field(default="INC-1", description="The incident's id.", examples=["INC-2026-0042"])
    title: str = Field(default="A trial", min_length=1, max_length=500, description="One line.", examples=["A trial"])
    severity: Severity = Field(default=1, description="1 (worst) to 5.", examples=[1])
    category: Identifier = Field(default="ransomware", description="What kind of incident it is.", examples=["ransomware"])
    declared_at: Moment = Field(
        default=datetime(2026, 11, 22, 18, tzinfo=timezone.utc),
        description="When it was declared; the clock of the trial starts then.",
        examples=["2026-11-22T18:00:00Z"],
    )
    assets: tuple[Identifier, ...] = Field(
        default=("orders-db", "files-01"), min_length=1, description="The assets in scope.", examples=[["files-01"]]
    )

    def to_incident(self) -> Incident:
        """Return the incident."""
        return Incident.model_validate(self.model_dump())


class Scripted(Node):
    """What one call of an action comes to: fields of its result, or `fails` with the reason.

    Fields that are left out come from the examples of the action; one that repeats an input has the input's value.
    """

    model_config = ConfigDict(extra="allow")

    fails: str = Field(default="", max_length=2000, description="The call fails, with this reason.", examples=["no answer"])
    outcome: Literal["succeeded", "partial", "failed", "unknown", "timed_out", "not_authorised"] | None = Field(
        default=None,
        description="The outcome; with fails: failed (when left out), unknown, timed_out or not_authorised.",
        examples=["unknown"],
    )
    repeatable: StrictBool | None = Field(
        default=None, description="With fails: whether another attempt may help.", examples=[False]
    )
    takes: Wait | None = Field(default=None, description="How long the call takes; no time when left out.", examples=["10m"])

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the result that the case gives."""
        return dict(self.model_extra or {})


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


Answers = Annotated[tuple[Scripted, ...], Field(min_length=1), BeforeValidator(_as_list), _OneOrMore()]
"""One answer for every call, or a list of answers, one for each call; the last one repeats."""


class ScriptedDecision(_TextOrMapping):
    """What people answer at a gate."""

    answer: Literal["approved", "denied", "timeout"] = Field(description="What they decide.", examples=["approved"])
    by: tuple[Identifier, ...] = Field(
        default=(), description="Who answers; left out, as many people as the gate needs.", examples=[["ben", "cho"]]
    )
    after: Wait | None = Field(default=None, description="How long they take; at once when left out.", examples=["20m"])


class ExpectedAction(_TextOrMapping):
    """One call of an action that must have happened."""

    do: ActionText = Field(description="The action.", examples=["backup.start"])
    step: str = Field(default="", description="Id or path of the step, with [ITEM] for one turn.", examples=["start[files-01]"])
    arguments: dict[FieldName, Plain] = Field(
        default_factory=dict, alias="with", description="Inputs that it must have been given.", examples=[{"asset": "files-01"}]
    )


class Expectation(Node):
    """What must come of the case. What is left out is not looked at."""

    actions: tuple[ExpectedAction, ...] = Field(
        default=(), description="Calls in this order; others may come between.", examples=[["backup.start", "report.summary"]]
    )
    exact: StrictBool = Field(default=False, description="No other calls may come between.", examples=[False])
    never: tuple[ActionText, ...] = Field(default=(), description="Actions that must not be called.", examples=[["backup.start"]])
    outcome: Literal["done", "partial", "failed", "unknown"] = Field(description="How the run ends.", examples=["done"])
    reason: Literal["failed", "unknown", "denied", "not_authorised", "timed_out"] | None = Field(
        default=None, description="Why it ends early.", examples=["denied"]
    )
    why: str = Field(default="", description="Text that the reason must hold.", examples=["did not verify"])
    handlers: tuple[FieldName, ...] | None = Field(
        default=None, description="The handlers that run, in order; [] for none.", examples=[["leave_report"]]
    )


class PlaybookCase(Node):
    """What an author of cases writes."""

    api_version: Literal["snaphold/v1"] = Field(alias="apiVersion", description="Of the language.", examples=["snaphold/v1"])
    kind: Literal["PlaybookCase"] = Field(description="Always PlaybookCase.", examples=["PlaybookCase"])
    metadata: CaseMetadata = Field(description="Which case this is.", examples=[{}])
    incident: CaseIncident = Field(default=CaseIncident(), description="The incident.", examples=[{}])
    requested_by: Identifier = Field(
        default="analyst", description="Who starts the run; that person's approval never counts.", examples=["ana"]
    )
    inputs: dict[FieldName, Argument] = Field(
        default_factory=dict, description="The inputs of the playbook.", examples=[{"assets": ["files-01"]}]
    )
    results: dict[Annotated[str, StringConstraints(min_length=1, max_length=500)], Answers] = Field(
        default_factory=dict,
        description="By action, by id or path of a step, by STEP[ITEM] for one turn; with /poll for its job.",
        examples=[{"backup.check_health": {"healthy": False}}],
    )
    approvals: dict[Annotated[str, StringConstraints(min_length=1, max_length=500)], ScriptedDecision] = Field(
        default_factory=dict, description="By id or path of the gate.", examples=[{"approve": "denied"}]
    )
    expect: Expectation = Field(description="What must come of it.", examples=[{"outcome": "done"}])


@dataclass(frozen=True)
class LoadedCase:
    """A case and the document that it was read from, for places in messages."""

    case: PlaybookCase
    document: Document
    path: Path

    @property
    def name(self) -> str:
        """The case's name."""
        return self.case.metadata.name


def load_case(path: Path) -> LoadedCase:
    """Return the case in a file. Raises CaseError with file:line:column of every fault of form, or InputError."""
    document = load_document(path, "case")
    return LoadedCase(read_model(PlaybookCase, document, "case", CaseError), document, path)


def case_files(name: str, folders: list[Path]) -> list[Path]:
    """Return the files of a playbook's cases, by name: those of the first folder of playbooks that has any."""
    for folder in folders:
        found = list(_files_in(folder / CASES / name))
        if found:
            return found
    return []


def _files_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml", ".json"))


def case_schema_text() -> str:
    """Return the JSON Schema (2020-12) of a case as it stands in `schemas/case.schema.json`."""
    schema = tidy_schema(PlaybookCase.model_json_schema(by_alias=True))
    whole = {"$schema": DIALECT, **schema, "title": "Snaphold playbook case"}
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
