"""The kinds of step: do, if, switch, parallel, approve, call, stop. Each is a class; a step is exactly one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import (
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from snaphold.domain.value import ACTION_PATTERN
from snaphold.playbook.node import HANDLER_PATTERN, FieldName, HandlerName, Node, PlaybookName, StepId, Wait
from snaphold.playbook.valuetype import ValueType

Argument = StrictBool | StrictInt | StrictFloat | StrictStr | tuple[StrictStr, ...]
"""A literal, or text with references."""
Arguments: TypeAlias = dict[FieldName, Argument]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
ConditionText = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
ActionText = Annotated[str, StringConstraints(pattern=ACTION_PATTERN)]
Approver = Annotated[str, StringConstraints(pattern=r"^(group|individual)/[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$")]
ReferenceText = Annotated[str, StringConstraints(pattern=r"^\$[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]

STOP = "stop"
CONTINUE = "continue"


class OnError(Node):
    """The handler that runs when a step fails, and whether the run then ends (`stop`) or goes on (`continue`)."""

    run: HandlerName = Field(description="The handler to run.", examples=["leave_report"])
    then: Literal["stop", "continue"] = Field(default="stop", description="What comes after the handler.", examples=["stop"])

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, value: Any) -> Any:
        if value in (STOP, CONTINUE):
            raise ValueError("names a handler; to go on after a failure write {run: HANDLER, then: continue}")
        return {"run": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        mapping = dict(schema)
        schema.clear()
        schema["anyOf"] = [{"type": "string", "pattern": HANDLER_PATTERN}, mapping]
        return reference


class Retry(Node):
    """Repeats a step that failed. `attempts` counts the first one too."""

    attempts: int = Field(strict=True, ge=2, le=100, description="Attempts in all.", examples=[3])
    every: Wait = Field(description="The pause between two attempts.", examples=["30s"])


class Poll(Node):
    """Asks again and again how a started job stands, until it is done, has failed, or `within` has passed."""

    do: ActionText = Field(description="The action that asks; it must be one that reads.", examples=["backup.status"])
    arguments: Arguments = Field(default_factory=dict, alias="with", description="Its input.", examples=[{"job": "$start.job"}])
    until: ConditionText = Field(description="Holds when the job is done.", examples=['$result.state == "done"'])
    fail: ConditionText = Field(description="Holds when the job has failed.", examples=['$result.state == "failed"'])
    every: Wait = Field(description="The pause between two questions.", examples=["10s"])
    within: Wait = Field(description="After this long the step has failed.", examples=["2h"])


class StepBase(Node):
    """What every step has. The id is unique in the file, handlers included."""

    id: StepId = Field(description="Unique in the file; references start with it.", examples=["classify"])
    title: str = Field(default="", max_length=200, description="What it does, for people.", examples=["Classify the assets"])


class DoStep(StepBase):
    """Runs one action."""

    do: ActionText = Field(description="The action.", examples=["backup.check_capacity"])
    arguments: Arguments = Field(
        default_factory=dict, alias="with", description="Its input.", examples=[{"assets": "$inputs.assets"}]
    )
    out: dict[FieldName, ValueType] = Field(
        default_factory=dict, description="The output fields that later steps may use.", examples=[{"fits": "boolean"}]
    )
    retry: Retry | None = Field(default=None, description="Repeat it when it fails.", examples=[None])
    timeout: Wait | None = Field(default=None, description="The longest that one call may take.", examples=["5m"])
    poll: Poll | None = Field(default=None, description="Wait for the job that it starts.", examples=[None])
    on_error: OnError | None = Field(default=None, description="What runs when it fails.", examples=["leave_report"])


class IfStep(StepBase):
    """Runs `then` when the condition holds, else `else`."""

    condition: ConditionText = Field(alias="if", description="The condition.", examples=["$capacity.fits == true"])
    then: tuple[Step, ...] = Field(description="Steps when it holds.", examples=[[]])
    otherwise: tuple[Step, ...] = Field(default=(), alias="else", description="Steps when it does not.", examples=[[]])


class SwitchStep(StepBase):
    """Runs the case whose key equals the value. No case and no default is a failure, never a pass."""

    switch: ReferenceText = Field(description="The value to look at.", examples=["$classify.top_tier"])
    cases: dict[str, tuple[Step, ...]] = Field(description="Value to steps.", examples=[{}])
    default: tuple[Step, ...] | None = Field(default=None, description="Steps for every other value.", examples=[None])


class ParallelStep(StepBase):
    """Runs lists of steps side by side and waits for all of them."""

    parallel: tuple[tuple[Step, ...], ...] = Field(description="At least two lists of steps.", examples=[[]])


class Escalation(Node):
    """Whom to ask next when nobody has answered."""

    to: Approver = Field(description="group/NAME or individual/NAME.", examples=["group/ciso-oncall"])
    within: Wait = Field(description="How long they have.", examples=["10m"])


class GrantTerms(Node):
    """The time-bound role that an approval issues."""

    role: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$")] = Field(
        description="The role.", examples=["backup-emergency"]
    )
    lasts: Wait = Field(alias="for", description="How long it lasts.", examples=["2h"])


class Question(Node):
    """What is asked at a gate, of whom, and until when."""

    ask: Text = Field(description="The question; references are filled in.", examples=["Back up $classify.assets now?"])
    asked_of: Approver = Field(alias="from", description="group/NAME or individual/NAME.", examples=["group/incident-managers"])
    within: Wait = Field(description="How long they have.", examples=["15m"])
    escalate: Escalation | None = Field(default=None, description="Whom to ask when that time is over.", examples=[None])
    grants: GrantTerms | None = Field(default=None, description="The role that an approval issues.", examples=[None])
    quorum: Annotated[int, Field(strict=True, ge=1, le=9)] | ReferenceText = Field(
        default=1, description="How many different people must approve; a number or a reference.", examples=[1]
    )


class ApproveStep(StepBase):
    """Waits for people. Nothing but an approval lets the run pass, unless `continue` is written."""

    approve: Question = Field(description="The question.", examples=[{}])
    on_denied: HandlerName = Field(default=STOP, description="stop, continue, or a handler (then stop).", examples=["stop"])
    on_timeout: HandlerName = Field(default=STOP, description="stop, continue, or a handler (then stop).", examples=["stop"])


class CallStep(StepBase):
    """Runs another playbook, once or for each item of a list."""

    call: PlaybookName = Field(description="The playbook's name.", examples=["snapshot-wave"])
    arguments: Arguments = Field(default_factory=dict, alias="with", description="Its inputs.", examples=[{"assets": "$item"}])
    for_each: ReferenceText | None = Field(default=None, description="A list; `$item` is each item.", examples=["$order.waves"])
    at_once: int | None = Field(
        default=None, strict=True, ge=1, le=64, description="How many items run side by side; 1 when left out.", examples=[4]
    )
    on_error: OnError | None = Field(default=None, description="What runs when it fails.", examples=["leave_report"])


class StopStep(StepBase):
    """Ends the run as failed, with a reason; `metadata.on_error` runs first, as for any failure."""

    stop: Text = Field(description="The reason; references are filled in.", examples=["The backups do not fit."])


KINDS: dict[str, type[StepBase]] = {
    "do": DoStep,
    "if": IfStep,
    "switch": SwitchStep,
    "parallel": ParallelStep,
    "approve": ApproveStep,
    "call": CallStep,
    "stop": StopStep,
}


def kind_of(value: Any) -> str | None:
    """Return the one kind of a step (a mapping of the file, or an instance); None when it has none or several."""
    if isinstance(value, Mapping):
        present = [kind for kind in KINDS if kind in cast("Mapping[str, Any]", value)]
        return present[0] if len(present) == 1 else None
    return next((kind for kind, model in KINDS.items() if isinstance(value, model)), None)


def _tag(value: Any) -> str | None:
    # A tag is no key of the file, so that the path of an error can be told from the tag.
    kind = kind_of(value)
    return f"<{kind}>" if kind else None


Step: TypeAlias = Annotated[
    Annotated[DoStep, Tag("<do>")]
    | Annotated[IfStep, Tag("<if>")]
    | Annotated[SwitchStep, Tag("<switch>")]
    | Annotated[ParallelStep, Tag("<parallel>")]
    | Annotated[ApproveStep, Tag("<approve>")]
    | Annotated[CallStep, Tag("<call>")]
    | Annotated[StopStep, Tag("<stop>")],
    Discriminator(
        _tag,
        custom_error_type="kind_of_step",
        custom_error_message="a step has exactly one of the keys do, if, switch, parallel, approve, call, stop",
    ),
]

for _model in (IfStep, SwitchStep, ParallelStep):
    _model.model_rebuild()
