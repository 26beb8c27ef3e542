"""A playbook as numbered steps for a person: what to do, what to write down, and where to go then. Pure functions.

The numbers run through the steps, the handlers and every called playbook, so that "go to step 12" names one place. The
ways follow the interpreter: the same failures lead to the same handlers and the same end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snaphold.action import AnyAction
from snaphold.clock import format_duration
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.model import Playbook
from snaphold.playbook.reference import parse_reference
from snaphold.playbook.step import (
    CONTINUE,
    STOP,
    ApproveStep,
    CallStep,
    DoStep,
    IfStep,
    ParallelStep,
    StepBase,
    StopStep,
    SwitchStep,
)
from snaphold.playbook.walk import every_step, lists_in
from snaphold.targets.consoles import console_of, console_rows
from snaphold.targets.gate_steps import asking, granting
from snaphold.targets.runbook_text import INCIDENT_FILE, KINDS, CommandLine, command_line, fill_in, name_reference, tell_condition

STOPPED = "Stop. Nobody goes on with this playbook."
BACK = "Go back to the step that sent you here; it says what comes then."


@dataclass(frozen=True)
class Way:
    """A decision: when this holds, do that."""

    when: str
    then: str


@dataclass(frozen=True)
class Entry:
    """One numbered step. `kind` is do, ask again, decide, approve, side by side, part or stop."""

    number: int
    title: str
    kind: str
    say: tuple[str, ...] = ()
    command: CommandLine | None = None
    console: str = ""
    action: str = ""
    write_down: tuple[tuple[str, str], ...] = ()
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True)
class Section:
    """A list of numbered steps: of a playbook, or of one of its handlers (`handler` is its name)."""

    playbook: Playbook
    handler: str
    is_part: bool
    entries: tuple[Entry, ...]


def sections_of(loaded: LoadedPlaybook, parts: Mapping[str, LoadedPlaybook], actions: Mapping[str, AnyAction]) -> list[Section]:
    """Return the sections of a playbook: its steps, its handlers, then those of all playbooks that it calls."""
    playbooks = [loaded.playbook, *(parts[name].playbook for name in _called(loaded.playbook, parts))]
    numbers: dict[tuple[str, str], int] = {}
    for playbook in playbooks:
        for _, steps in _lists_of(playbook):
            for step in _in_order(steps):
                for role in _roles(step):
                    numbers[playbook.name, step.id + role] = len(numbers) + 1
    sections: list[Section] = []
    for playbook in playbooks:
        is_part = playbook is not loaded.playbook
        for handler, steps in _lists_of(playbook):
            writer = _Writer(playbook, parts, actions, numbers, handler, is_part)
            sections.append(Section(playbook, handler, is_part, tuple(writer.entries(steps))))
    return sections


def consoles_of(sections: Sequence[Section]) -> list[tuple[str, str, str]]:
    """Return (action, product, path) for the actions of all sections, as the appendix lists them."""
    return console_rows(entry.action for section in sections for entry in section.entries if entry.action)


def _called(playbook: Playbook, parts: Mapping[str, LoadedPlaybook]) -> list[str]:
    """Return the playbooks that are called, directly or through others, in the order in which the reader meets them."""
    found: list[str] = []
    waiting = [playbook]
    while waiting:
        for step in every_step(waiting.pop(0)):
            if isinstance(step, CallStep) and step.call not in found:
                found.append(step.call)
                waiting.append(parts[step.call].playbook)
    return found


def _lists_of(playbook: Playbook) -> list[tuple[str, Sequence[StepBase]]]:
    return [("", playbook.steps), *playbook.handlers.items()]


def _in_order(steps: Sequence[StepBase]) -> Iterator[StepBase]:
    for step in steps:
        yield step
        for inner in lists_in(step, ()):
            yield from _in_order(inner.steps)


def _roles(step: StepBase) -> tuple[str, ...]:
    return ("", ".poll") if isinstance(step, DoStep) and step.poll else ("",)


def _go(number: int) -> str:
    return f"Go to step {number}."


@dataclass(frozen=True)
class _Writer:
    """Writes the entries of one list of steps. `handler` is the one that it belongs to, empty for the main steps."""

    playbook: Playbook
    parts: Mapping[str, LoadedPlaybook]
    actions: Mapping[str, AnyAction]
    numbers: Mapping[tuple[str, str], int]
    handler: str
    is_part: bool

    def entries(self, steps: Sequence[StepBase]) -> Iterator[Entry]:
        """Yield the entries of the whole list."""
        end = "The playbook is done." if not self.is_part else "This part is done. Go back to the step that called it."
        yield from self._list(steps, BACK if self.handler else end)

    def _number(self, id: str) -> int:
        return self.numbers[self.playbook.name, id]

    def _written_at(self, id: str, field: str) -> int:
        step = next(found for found in every_step(self.playbook) if found.id == id)
        later = isinstance(step, DoStep) and step.poll is not None and field not in self.actions[step.do].result.model_fields
        return self._number(f"{id}.poll" if later else id)

    def _first(self, steps: Sequence[StepBase], after: str) -> str:
        return _go(self._number(steps[0].id)) if steps else after

    def _list(self, steps: Sequence[StepBase], after: str) -> Iterator[Entry]:
        for index, step in enumerate(steps):
            yield from self._step(step, self._first(steps[index + 1 :], after))

    def _step(self, step: StepBase, after: str) -> Iterator[Entry]:
        if isinstance(step, DoStep):
            yield from self._do(step, after)
        elif isinstance(step, CallStep):
            yield self._call(step, after)
        elif isinstance(step, ApproveStep):
            yield self._approve(step, after)
        elif isinstance(step, StopStep):
            say = (f"It ends here: {fill_in(step.stop, self._written_at)}",)
            yield self._entry(step, "stop", say=say, ways=(Way("Always", self._failed()),))
        else:
            yield self._branching(step, after)
            for inner in lists_in(step, ()):
                wait = f"Wait for the other lists of step {self._number(step.id)}. {after}"
                yield from self._list(inner.steps, wait if isinstance(step, ParallelStep) else after)

    def _entry(self, step: StepBase, kind: str, **fields: Any) -> Entry:
        return Entry(self._number(step.id), _title(step), kind, **fields)

    # ---- ends ----

    def _failed(self) -> str:
        """Return what to do after a failure that the step itself does not handle."""
        last = self.playbook.metadata.on_error
        end = "this part has failed: go back to the step that called it." if self.is_part else "the playbook has failed: stop."
        if last is None or last == self.handler:
            return _sentence(end)
        return f"{self._handler(last)} Then {end}"

    def _handler(self, name: str) -> str:
        return self._first(self.playbook.handlers[name], BACK)

    def _failing(self, step: DoStep | CallStep, after: str) -> str:
        if step.on_error is None:
            return self._failed()
        then = after if step.on_error.then == CONTINUE else STOPPED
        return f"{self._handler(step.on_error.run)} After that: {_clause(then)}"

    # ---- kinds ----

    def _do(self, step: DoStep, after: str) -> Iterator[Entry]:
        entry, failing = self.actions[step.do], self._failing(step, after)
        line = command_line(entry, step.arguments, self._written_at)
        say = [f"{entry.title}.", *line.notes]
        if step.timeout:
            say.append(f"Wait at most {format_duration(step.timeout)}.")
        wrong = "It failed, or nobody knows (any other exit code)"
        if step.retry:
            times = step.retry.attempts - 1
            say.append(f"If it fails, try again after {format_duration(step.retry.every)}, up to {times} times.")
            wrong = "It still fails, or nobody knows (any other exit code)"
        poll = step.poll
        following = _go(self._number(f"{step.id}.poll")) if poll else after
        yield self._entry(
            step, "do", say=tuple(say), command=line, console=console_of(entry.name, entry.console), action=entry.name,
            write_down=_fields(step, entry),
            ways=(Way("It worked (exit code 0, or 3: write down the findings)", following), Way(wrong, failing)),
        )  # fmt: skip
        if poll:
            ask = self.actions[poll.do]
            line = command_line(ask, poll.arguments, self._written_at)
            pause, within = format_duration(poll.every), format_duration(poll.within)
            say = [f"Ask every {pause}, for at most {within}, how the job of step {self._number(step.id)} stands.", *line.notes]
            yield Entry(
                self._number(f"{step.id}.poll"), f"Wait: {_title(step)}", "ask again", tuple(say), line,
                console_of(ask.name, ask.console), ask.name, _fields(step, ask),
                (
                    Way(f"If {tell_condition(poll.until, self._written_at)}", after),
                    Way(f"If {tell_condition(poll.fail, self._written_at)}", failing),
                    Way(f"Neither within {within}", failing),
                ),
            )  # fmt: skip

    def _branching(self, step: StepBase, after: str) -> Entry:
        if isinstance(step, IfStep):
            holds = f"If {tell_condition(step.condition, self._written_at)}"
            ways = [Way(holds, self._first(step.then, after)), Way("Otherwise", self._first(step.otherwise, after))]
            ways.append(Way("If a value is missing", self._failed()))
            return self._entry(step, "decide", say=("Look at what you wrote down.",), ways=tuple(ways))
        if isinstance(step, SwitchStep):
            value = name_reference(parse_reference(step.switch), self._written_at)
            ways = [Way(f"If it is {key}", self._first(steps, after)) for key, steps in step.cases.items()]
            ways.append(
                Way("If it is anything else", self._failed() if step.default is None else self._first(step.default, after))
            )
            return self._entry(step, "decide", say=(f"Look at {value}.",), ways=tuple(ways))
        if isinstance(step, ParallelStep):
            lists = [f"from step {self._number(steps[0].id)}" for steps in step.parallel]
            say = (
                "Do these lists side by side, by different people if there are enough.",
                "If one of them fails, finish the others first.",
            )
            ways = [Way(f"List {index}", f"Begin {place}.") for index, place in enumerate(lists, start=1)]
            ways += [Way("All are finished", after), Way("One has failed", self._failed())]
            return self._entry(step, "side by side", say=say, ways=tuple(ways))
        raise TypeError(f"{type(step).__name__} is no kind of step")

    def _approve(self, step: ApproveStep, after: str) -> Entry:
        question = step.approve
        needed = fill_in(question.quorum, self._written_at)
        say = [
            f"Ask {_people(question.asked_of)}: “{fill_in(question.ask, self._written_at)}”",
            f"Needed: {needed} approval{'' if needed == '1' else 's'}, each by another person.",
            "Whoever started this may not answer.",
        ]
        within = format_duration(question.within)
        silent = f"Nobody answers within {within}"
        ways: list[Way] = []
        ask = asking(step)
        line = command_line(self.actions[ask.do], ask.arguments, self._written_at)
        say.append("Put the question with the command. Each answers in an own name, with the approval's id that it shows:")
        say.append("`snaphold approvals approve <approval> --reason <why>`, or `deny`.")
        if question.grants:
            say.append(
                f"An approval gives the role {question.grants.role} for {format_duration(question.grants.lasts)}. Take it: "
                f"`snaphold do {granting(step).do} --incident {INCIDENT_FILE} --justification <why> --approval <approval>`."
            )
        say.append("Without Snaphold, ask by telephone and write down who answered and why.")
        ways.append(Way("Approved", after))
        ways.append(Way("Denied, also by only one", self._undecided(step.on_denied, after)))
        if question.escalate:
            longer = format_duration(question.escalate.within)
            ways.append(Way(silent, f"Ask {_people(question.escalate.to)} the same, and wait {longer} more."))
            silent = f"They do not answer within {longer} either"
        ways.append(Way(silent, self._undecided(step.on_timeout, after)))
        fields = (
            ("approval", "text"),
            ("asked at", "time"),
            ("decision", "approved or denied"),
            ("by", "names"),
            ("reason", "text"),
        )
        granted = (("grant", "text"), ("role ends at", "time")) if question.grants else ()
        return self._entry(step, "approve", say=tuple(say), command=line, write_down=(*fields, *granted), ways=tuple(ways))

    def _undecided(self, decision: str, after: str) -> str:
        if decision == CONTINUE:
            return after
        return STOPPED if decision == STOP else f"{self._handler(decision)} After that: {_clause(STOPPED)}"

    def _call(self, step: CallStep, after: str) -> Entry:
        called = self.parts[step.call].playbook
        begin = self.numbers[called.name, called.steps[0].id]
        say: list[str] = []
        if step.for_each:
            items = name_reference(parse_reference(step.for_each), self._written_at)
            at_once = "one after the other" if (step.at_once or 1) == 1 else f"at most {step.at_once} at a time"
            say.append(f"Do this for each item of {items}, {at_once}. Tick off each item. An empty list is a failure.")
            say.append("After an item that failed begin no further one.")
        given = "; ".join(f"{name} = {fill_in(value, self._written_at)}" for name, value in step.arguments.items())
        say.append(f"Follow the part {called.name} from step {begin}" + (f", with {given}." if given else "."))
        ways = (
            Way("Every item is done" if step.for_each else "The part is done", after),
            Way("It has failed", self._failing(step, after)),
            Way("A person has stopped it", STOPPED),
        )
        fields = (("items done", "list"),) if step.for_each else ()
        return self._entry(step, "part", say=tuple(say), write_down=fields, ways=ways)


def _title(step: StepBase) -> str:
    return step.title or _sentence(step.id.replace("_", " "))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _clause(text: str) -> str:
    return text[:1].lower() + text[1:]


def _people(approver: str) -> str:
    kind, _, name = approver.partition("/")
    return f"the group {name}" if kind == "group" else name


def _fields(step: DoStep, entry: AnyAction) -> tuple[tuple[str, str], ...]:
    """Return the declared outputs that an action gives, each with what it holds."""
    return tuple((name, KINDS[kind]) for name, kind in step.out.items() if name in entry.result.model_fields)
