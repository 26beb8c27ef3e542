"""Plays a case of a shipped playbook on XSOAR: the answers are those that the local runner was given, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snaphold.clock import parse_time
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.scripted import Call
from snaphold.playbook.trial import Trial
from snaphold.playbook.valuetype import write_value
from support.xsoar_play import walk_there


@dataclass
class Replay:
    """Answers as the runner was answered; a repeat of the same step after a failure is answered as its last attempt."""

    trial: Trial
    position: int = 0
    gates: int = 0
    decision_: str | None = None
    seconds: float = 0.0
    missed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.calls = [
            call
            for call, following in zip(self.trial.calls, [*self.trial.calls, None][1:], strict=True)
            if not _tries_again(call, following)
        ]
        self.decided = [line for line in self.trial.lines if line.what == "approve"]

    def answer(self, action: str) -> dict[str, Any] | None:
        """Return the next answer; None when the call itself failed."""
        if self.position >= len(self.calls) or self.calls[self.position].action != action:
            self.missed.append(f"{action} was called as number {self.position}")
            return None
        answer = self.calls[self.position].answer
        self.position += 1
        self.seconds = (parse_time(answer.at) - parse_time(answer.began)).total_seconds()
        return {**answer.output, "outcome": answer.outcome} if answer.output else None

    def decision(self, who: str, title: str) -> str | None:
        """Return what people decided at the gate; those it escalates to are asked about the same gate."""
        del who
        if not title.startswith("Escalated: "):
            self.decision_ = self.decided[self.gates].outcome
            self.gates += 1
        return None if self.decision_ == "expired" else self.decision_


def _tries_again(call: Call, following: Call | None) -> bool:
    """Return whether the next call is another attempt at the same one."""
    same = following is not None and (following.path, following.items) == (call.path, call.items)
    return same and following is not None and following.attempt == call.attempt + 1


def replay(loaded: LoadedPlaybook, parts: Mapping[str, LoadedPlaybook], trial: Trial, inputs: Mapping[str, Any]) -> Any:
    """Walk the compiled playbook and return the replay, the calls, the ending, and the commands."""
    script = Replay(trial)
    given = {name: write_value(list(value) if isinstance(value, tuple) else value) for name, value in inputs.items()}
    calls, ending, commands = walk_there(loaded, parts, script, given, script.decision)
    return script, calls, ending, commands
