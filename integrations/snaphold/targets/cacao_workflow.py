"""The parts of a CACAO playbook while it is being put together: steps, variables, agents, and how steps are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snaphold.action import AnyAction, Effect
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.reference import Reference
from snaphold.playbook.step import StepBase
from snaphold.playbook.walk import placed_steps
from snaphold.targets.base import Loss, place_text, stable_uuid
from snaphold.targets.cacao_lint import branches_of, next_of
from snaphold.targets.cacao_values import (
    GATEWAY,
    GENERATION,
    INCIDENT_ID,
    JUSTIFICATION,
    NONE,
    PORT,
    STOPPED,
    TOKEN,
    USED_VARIABLE,
    Namer,
    body_with,
    equals,
    path_variable,
    text_with,
    value_of,
)

EXTENSION = f"extension-definition--{stable_uuid('', '', 'cacao extension')}"
OPERATORS = "group/incident-operators"
"""Who does by hand what the gateway could not do."""
JOB_EVERY_SECONDS = 5
LONGEST_JOB_SECONDS = 24 * 3600
_MILLISECONDS = 1000


@dataclass
class Workflow:
    """Collects the steps of one playbook. A step is named after its source and its role there, never after a counter."""

    loaded: LoadedPlaybook
    actions: Mapping[str, AnyAction]
    steps: dict[str, dict[str, Any]] = field(default_factory=dict[str, "dict[str, Any]"])
    variables: dict[str, dict[str, Any]] = field(default_factory=dict[str, "dict[str, Any]"])
    agents: dict[str, dict[str, Any]] = field(default_factory=dict[str, "dict[str, Any]"])
    losses: list[Loss] = field(default_factory=list[Loss])

    @property
    def playbook(self) -> str:
        """The name of the playbook."""
        return self.loaded.playbook.name

    def add(self, kind: str, path: str, role: str, **fields: Any) -> str:
        """Add a step and return its id; the same path and role again give the same step."""
        id = f"{kind}--{stable_uuid(self.loaded.playbook.metadata.id, path, f'cacao {kind} {role}')}"
        self.steps[id] = {"type": kind, **{name: value for name, value in fields.items() if value not in (None, "", [], {})}}
        return id

    def end(self, path: str, role: str) -> str:
        """Add an end of its own for a branch."""
        return self.add("end", path, role)

    def is_end(self, id: str) -> bool:
        """Return whether a step is an end: nothing comes there that would have to be guarded."""
        return self.steps[id]["type"] == "end"

    def branch(self, path: str, role: str, condition: str, on_true: str, on_false: str = "", **fields: Any) -> str:
        """Add an if-condition; after either branch its chain ends unless `on_completion` is given."""
        fields.setdefault("on_completion", "")
        after = fields.pop("on_completion") or self.end(path, f"{role} after")
        return self.add(
            "if-condition", path, role, condition=condition, on_true=on_true, on_false=on_false, on_completion=after, **fields
        )

    def declare(
        self, variable: str, kind: str, value: str | None = None, description: str | None = None, *, external: bool = False
    ) -> str:
        """Declare a variable and return its name."""
        fields = {"type": kind, "value": value, "description": description, "external": external or None}
        self.variables[variable] = {name: item for name, item in fields.items() if item is not None}
        return variable

    def agent(self, text: str) -> str:
        """Return the id of the person or group that `group/NAME` or `individual/NAME` names."""
        kind, _, name = text.partition("/")
        id = f"{kind}--{stable_uuid('', name, f'cacao {kind}')}"
        self.agents[id] = {"type": kind, "name": name}
        return id

    def gateway(self) -> str:
        """Return the id of the Snaphold service."""
        id = f"http-api--{stable_uuid('', '', 'cacao gateway')}"
        self.agents[id] = {
            "type": "http-api",
            "name": "Snaphold service",
            "description": "Carries out every action. It keeps the credentials, the ledger and the authority.",
            "address": {"dname": [value_of(GATEWAY)]},
            "port": value_of(PORT),
        }
        return id

    def manual(self, path: str, role: str, *, text: str, of: str, sets: str, **fields: Any) -> str:
        """Add a step that a person does and whose answer is put into the variable `sets`."""
        commands = [{"type": "manual", "command": text}]
        return self.add("action", path, role, commands=commands, agent=self.agent(of), out_args=[sets], **fields)

    def call(
        self, action: str, step: str, path: str, role: str, *, given: Mapping[str, object], name_of: Namer,
        out: Mapping[str, str], raw: Mapping[str, str] | None = None, **fields: Any,
    ) -> str:  # fmt: skip
        """Add a call of an action. `out` says which field of the answer each variable takes; `raw` input is JSON already."""
        body = body_with(given, name_of, raw or {})
        headers = self._headers(action, step, given, name_of)
        command: dict[str, Any] = {
            "type": "http-api",
            "command": f"POST /v1/actions/{action} HTTP/1.1",
            "headers": headers,
            "content": body,
        }
        texts = [body, *(text for values in headers.values() for text in values)]
        used = {match[1] for text in texts for match in USED_VARIABLE.finditer(text)}
        return self.add(
            "action", path, role, commands=[command], agent=self.gateway(),
            step_extensions={EXTENSION: {"out": dict(sorted(out.items()))}}, in_args=sorted(used), out_args=sorted(out), **fields,
        )  # fmt: skip

    def job(
        self, path: str, *, job: str, state: str, outcome: str, out: Mapping[str, str], after: str, failing: str, within: int
    ) -> str:
        """Add the steps that wait for work that outlasts the call: the service then answers with a job.

        `job`, `state` and `outcome` are the variables of the job's id, of its state, and of the action's outcome.
        """
        fields = {state: "state", **{name: f"result.{source}" for name, source in out.items()}}
        asked = self.end(path, "asked for the job")
        command: dict[str, Any] = {
            "type": "http-api",
            "command": f"GET /v1/jobs/{value_of(job)} HTTP/1.1",
            "headers": {"Authorization": [f"Bearer {value_of(TOKEN)}"]},
        }
        ask = self.add(
            "action", path, "job", name="Ask the service for its job", commands=[command], agent=self.gateway(),
            delay=JOB_EVERY_SECONDS * _MILLISECONDS, step_extensions={EXTENSION: {"out": dict(sorted(fields.items()))}},
            in_args=sorted([TOKEN, job]), out_args=sorted(fields), on_success=asked, on_failure=asked,
        )  # fmt: skip
        condition = f"[{value_of(outcome)} = '{NONE}' AND {value_of(state)} = 'running']"
        return self.add(
            "while-condition", path, "wait for the job", name="Has the service made a job of it?", condition=condition,
            on_true=ask, timeout=within, on_success=after, on_failure=failing,
        )  # fmt: skip

    def _headers(self, action: str, step: str, given: Mapping[str, object], name_of: Namer) -> dict[str, list[str]]:
        headers = {"Authorization": [f"Bearer {value_of(TOKEN)}"], "Content-Type": ["application/json"]}
        entry = self.actions[action]
        if entry.effect is not Effect.READS:
            keys = "+".join(text_with(given.get(name, ""), name_of) for name in entry.key_fields).strip("+") or "-"
            path = f"{value_of(path_variable(self.playbook))}.{step}"
            headers["Idempotency-Key"] = [f"{value_of(INCIDENT_ID)}/{path}/{keys}/{value_of(GENERATION)}"]
            headers["X-Snaphold-Justification"] = [value_of(JUSTIFICATION)]
        return headers

    def halt(self, path: str, variable: str, state: str, reason: str, name_of: Namer) -> str:
        """Add the steps that keep everything after them from running; when the gateway fails, a person does it."""
        end = self.end(path, f"halted {state}")
        by_hand = self.manual(
            path,
            f"halt by hand {state}",
            text=f"The playbook {self.playbook} must not go on. Set {variable} to {state}.",
            of=OPERATORS,
            sets=variable,
            name="Stop by hand",
            on_completion=end,
        )
        check = self.branch(
            path, f"is halted {state}", equals(variable, state), on_true=end, on_false=by_hand, name="Has it stopped?"
        )
        title = "Stop" if state == STOPPED else "Stop as failed"
        return self.call(
            "core.halt", path, path, f"halt {state}", given={"reason": reason, "state": state}, name_of=name_of,
            out={variable: "state"}, name=title, on_success=check, on_failure=by_hand,
        )  # fmt: skip

    def drop_unused_ends(self, entries: Sequence[str]) -> None:
        """Leave out the ends of branches that always stop before: nothing leads to them."""
        used = {*entries, *(target for step in self.steps.values() for target in (*next_of(step), *branches_of(step)))}
        self.steps = {id: step for id, step in self.steps.items() if id in used or step["type"] != "end"}

    def lose(self, construct: str, step: StepBase, what: str, *keys: str) -> None:
        """Record a loss at a key of a step."""
        places = {id(found): place for place, found in placed_steps(self.loaded.playbook)}
        loss = Loss(construct, place_text(self.loaded, (*places[id(step)], *keys)), what)
        if loss not in self.losses:
            self.losses.append(loss)


def milliseconds(length: Any) -> int | None:
    """Return a duration in milliseconds, as CACAO has it; None for none."""
    return None if length is None else int(length.total_seconds() * _MILLISECONDS)


def no_reference(reference: Reference) -> str:
    """Stand in for a namer where the text is the exporter's own and names nothing. Raises TypeError."""
    raise TypeError(f"{reference} stands in a text of the exporter's own")
