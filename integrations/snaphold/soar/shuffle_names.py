"""What things are called on Shuffle. The compiler, the app builder and the app share it."""

from __future__ import annotations

from dataclasses import dataclass

APP = "Snaphold"
CONTROL = "snaphold_"
"""The parameters that are no input of the action begin with this."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method of the app."""

    name: str
    description: str
    example: str
    required: bool = False
    multiline: bool = False


@dataclass(frozen=True)
class Method:
    """A method of the app that is no action of the catalogue."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    needs_service: bool = False
    example: str = '{"success": true, "way": "next"}'


STEP_PARAMETERS = (
    Parameter("snaphold_run", "The run, in compiled workflows: $inputs.run.", "RUN-1a2b3c4d5e6f7a8b"),
    Parameter("snaphold_step", "The step's name; part of the idempotency key.", "start"),
    Parameter("snaphold_incident", "The incident's id, outside of compiled workflows.", "INC-2026-0042"),
    Parameter("snaphold_justification", "Why it is done; it stands in the audit trail.", "Ransomware, INC-2026-0042"),
    Parameter("snaphold_expects", "Outputs that must be there, as name:type.", "job:string,pool:string"),
    Parameter("snaphold_attempts", "How many attempts there are in all.", "3"),
    Parameter("snaphold_every", "The pause between two attempts or questions.", "30s"),
    Parameter("snaphold_timeout", "The longest that the step may take.", "5m"),
)
STEP = (
    Parameter("snaphold_incident", "The incident's id.", "INC-2026-0042"),
    Parameter("snaphold_step", "The step's name; a repeat of the same step finds what it left.", "note_backup"),
    Parameter("snaphold_justification", "Why it is done.", "Ransomware, INC-2026-0042"),
)
"""What a method of a vendor's own app is told besides the input of its action."""
WAIT = (
    Parameter("snaphold_asked_at", "When the backup was started, as backup_start says in asked_at.", "2026-11-23T01:00:00.000Z"),
    Parameter("snaphold_within", "After this long from then, a backup that still runs is an error.", "6h"),
)
"""What the question about a backup of a vendor's own app is told besides: its deadline."""
CHECK = Method(
    "check_connection",
    "Signs in and says what the account may not do, and when the clocks differ",
    (Parameter("note", "Any text.", "check"),),
)
"""The method of a vendor's own app that is no action."""
POLL_PARAMETERS = (
    Parameter("snaphold_until", "Holds when the job is done.", '\\$result.state == "done"'),
    Parameter("snaphold_fail", "Holds when the job has failed.", '\\$result.state == "failed"'),
    Parameter("snaphold_within", "After this long the step has failed.", "2h"),
    Parameter("snaphold_joins", "The step that started the job.", "start"),
)
_RUN = Parameter("run", "The run.", "RUN-1a2b3c4d5e6f7a8b", required=True)
_STEP = Parameter("step", "The step's name.", "approve", required=True)
METHODS = (
    Method(
        "begin_run",
        "Begins a run of a compiled playbook, or its next pass, and gives its inputs",
        (
            Parameter("argument", "The execution argument.", '{"incident": "INC-2026-0042", "inputs": {}}', required=True),
            Parameter("playbook", "The playbook's name.", "ransomware-response", required=True),
            Parameter("inputs", "The declared inputs, as JSON.", '{"assets": {"type": "list"}}', multiline=True),
        ),
        example='{"success": true, "way": "next", "run": "RUN-1a2b3c4d5e6f7a8b", "incident": "INC-2026-0042", "pass": 1}',
    ),
    Method(
        "condition_holds",
        "Evaluates one comparison by type; a missing value is a fault, never a pass",
        (
            Parameter("left", "The value.", "$classify.critical"),
            Parameter("operator", "One of == != < <= > >=.", "==", required=True),
            Parameter("right", "The literal.", "true"),
            Parameter("type", "string, integer or boolean.", "boolean", required=True),
            Parameter("joiner", "and, or: joins it with the comparison before.", ""),
            Parameter("before", "What the comparison before says in `holds`.", ""),
        ),
        example='{"success": true, "way": "next", "holds": "true"}',
    ),
    Method(
        "choose_case",
        "Gives the number of the case that a value equals, from 1; 0 for the default",
        (
            Parameter("value", "The value.", "$classify.top_tier"),
            Parameter("type", "string, integer or boolean.", "string", required=True),
            Parameter("cases", "The cases, as a JSON list.", '["tier-0", "tier-1"]', required=True),
            Parameter("has_default", "yes when there is a default.", "yes"),
        ),
        example='{"success": true, "way": "next", "case": "1"}',
    ),
    Method("go_on", "Does nothing; a place where branches meet or part", (Parameter("note", "Any text.", "side by side"),)),
    Method(
        "join_lists",
        "Goes on when every list of steps side by side has come to its end",
        (Parameter("values", "What the ends of the lists say in `success`, with commas.", "true,true", required=True),),
    ),
    Method(
        "call_playbook",
        "Calls another playbook, once or for each item; gives the next one to start, or says that all have ended",
        (
            _RUN,
            _STEP,
            Parameter("items", "The items of for_each.", '["orders-db", "files-01"]'),
            Parameter("for_each", "yes when it is repeated for each item.", "yes"),
            Parameter("at_once", "How many run side by side.", "4"),
            Parameter("names", "The inputs that are handed on, as name:type; item stands for the item.", "assets:item"),
            *(Parameter(f"value_{number}", f"The value of input {number}.", "orders-db") for number in range(1, 9)),
        ),
        example='{"success": true, "way": "start", "child": "RUN-1a2b3c4d5e6f7a8b.back_up.0"}',
    ),
    Method(
        "approval_state",
        "Opens a question to people in Snaphold, says whether it was approved, denied, or not answered, and takes the grant",
        (
            _RUN,
            _STEP,
            Parameter("question", "The question.", "Back up orders-db now?", required=True, multiline=True),
            Parameter("asked_of", "Who is asked.", "group/incident-managers", required=True),
            Parameter("within", "How long they have.", "15m", required=True),
            Parameter("quorum", "How many different people must approve.", "1"),
            Parameter("escalate_to", "Who is asked when they are silent.", "group/ciso-oncall"),
            Parameter("escalate_within", "How long those have.", "10m"),
            Parameter("role", "The role that an approval gives to the token's person.", "backup-emergency"),
            Parameter("role_lasts", "For how long.", "2h"),
            Parameter("joins", "The step whose question was escalated.", "approve"),
        ),
        needs_service=True,
        example='{"success": true, "way": "waiting"}',
    ),
    Method(
        "put_question",
        "Gives the text of an open question",
        (_RUN, _STEP),
        example='{"success": true, "way": "next", "approval": "APR-1a2b3c4d", "text": "For group/a: Back up orders-db now?"}',
    ),
    Method(
        "tell_approvers",
        "Gives a question to the node that sends it to the approvers",
        (Parameter("question", "The question.", "Back up orders-db now?"),),
    ),
    Method(
        "pause_run",
        "Waits up to 20 seconds before the next pass of a run that is not done",
        (_RUN, Parameter("seconds", "How long.", "15")),
        example='{"success": true, "way": "next", "run": "RUN-1a2b3c4d5e6f7a8b", "pass": "2"}',
    ),
    Method(
        "stop_run", "Records why a playbook stops itself", (_RUN, _STEP, Parameter("reason", "The reason.", "They do not fit."))
    ),
    Method(
        "finish_run",
        "Records how a run ended",
        (
            _RUN,
            Parameter("ended", "done, failed, or handled: a handler or a person ended it.", "done", required=True),
            Parameter("steps", "The steps whose outcomes count.", "classify,start"),
        ),
        example='{"success": true, "way": "ended", "outcome": "succeeded", "why": ""}',
    ),
    Method(
        "job_status",
        "Says how long work in the service stands: waiting, or its result",
        (Parameter("job", "The job's id, as an action gave it.", "5f0c1b7a", required=True),),
        needs_service=True,
        example='{"success": true, "way": "waiting", "job": "5f0c1b7a"}',
    ),
    Method(
        "check_service",
        "Checks address, token and clock of the Snaphold service",
        (Parameter("note", "Any text.", "check"),),
        needs_service=True,
        example='{"success": true, "status": "ok", "person": "alice"}',
    ),
)


def method_name(action: str) -> str:
    """Return the method of an action: `backup.check_health` is `backup_check_health`."""
    return action.replace(".", "_")
