"""Whether a case fits its playbook: every name in it exists, and every scripted result is one that the action could give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from snaphold.action import AnyAction
from snaphold.errors import Problem
from snaphold.playbook.case import LoadedCase, Scripted
from snaphold.playbook.model import Playbook
from snaphold.playbook.scripted import POLL, scripted_result
from snaphold.playbook.step import ApproveStep, CallStep, DoStep, StepBase
from snaphold.playbook.steppath import step_at, without_item
from snaphold.playbook.walk import Place, every_step
from snaphold.validation import problems_of, suggest

_FAILURES = ("timed_out", "not_authorised")


def case_problems(
    loaded: LoadedCase, root: str, playbooks: Mapping[str, Playbook], actions: Mapping[str, AnyAction]
) -> list[Problem]:
    """Return every fault of a case of the playbook `root`, with its place; `playbooks` holds it and all that it calls."""
    return list(_Check(loaded, root, playbooks, actions).problems())


class _Check:
    def __init__(
        self, loaded: LoadedCase, root: str, playbooks: Mapping[str, Playbook], actions: Mapping[str, AnyAction]
    ) -> None:
        self.loaded = loaded
        self.root = root
        self.playbooks = playbooks
        self.actions = actions
        self.steps = [step for playbook in playbooks.values() for step in every_step(playbook)]

    def problems(self) -> Iterator[Problem]:
        yield from self._metadata()
        for key, answers in self.loaded.case.results.items():
            yield from self._results(key, answers)
        for key in self.loaded.case.approvals:
            if not any(isinstance(step, ApproveStep) for step in self._steps_of(key)):
                known = [step.id for step in self.steps if isinstance(step, ApproveStep)]
                yield self._at_key(("approvals", key), f"there is no gate {key!r}", suggest(key, known))
        yield from self._expectations()

    def _metadata(self) -> Iterator[Problem]:
        metadata = self.loaded.case.metadata
        if metadata.playbook != self.root:
            yield self._at(("metadata", "playbook"), f"the case is of {metadata.playbook}, not of {self.root}")
        if metadata.name != self.loaded.path.stem:
            yield self._at(("metadata", "name"), f"the name must be that of the file, {self.loaded.path.stem!r}")

    def _results(self, key: str, answers: Sequence[Scripted]) -> Iterator[Problem]:
        entries = [self.actions[key]] if key in self.actions else self._actions_of(key)
        if not entries:
            known = [*self.actions, *(step.id for step in self.steps if isinstance(step, DoStep))]
            yield self._at_key(("results", key), f"there is no action and no step {key!r}", suggest(key, known))
        single = isinstance(self.loaded.document.data["results"][key], dict)
        for index, answer in enumerate(answers):
            where: Place = ("results", key) if single else ("results", key, index)
            for entry in entries:
                yield from self._answer(where, entry, answer)

    def _answer(self, where: Place, entry: AnyAction, answer: Scripted) -> Iterator[Problem]:
        if answer.fails:
            for name in answer.fields:
                yield self._at_key((*where, name), "a call that fails has no result")
            if answer.outcome in ("succeeded", "partial"):
                yield self._at((*where, "outcome"), f"a call that fails is not {answer.outcome}")
            return
        if answer.outcome in _FAILURES or answer.repeatable is not None:
            name = "outcome" if answer.outcome in _FAILURES else "repeatable"
            yield self._at_key((*where, name), f"this {name} needs `fails` with the reason")
            return
        try:
            scripted_result(entry, answer, {})
        except ValidationError as error:
            for problem in problems_of(error, None, entry.result):
                name = problem.field.partition(".")[0]
                at = (*where, name)
                yield self._at_key(at, f"{entry.name} cannot give this {name}: {problem.message}", problem.hint)

    def _expectations(self) -> Iterator[Problem]:
        expect = self.loaded.case.expect
        named = [(("expect", "actions", index), item.do) for index, item in enumerate(expect.actions)]
        named += [(("expect", "never", index), action) for index, action in enumerate(expect.never)]
        for where, action in named:
            if action not in self.actions:
                yield self._at(where, f"there is no action {action!r}", suggest(action, list(self.actions)))
        for index, item in enumerate(expect.actions):
            place: Place = ("expect", "actions", index)
            if item.step and not self._steps_of(item.step):
                yield self._at((*place, "step"), f"there is no step {item.step!r}", suggest(item.step, self._ids()))
            entry = self.actions.get(item.do)
            known = list(entry.request.model_fields) if entry else []
            for name in item.arguments if entry else ():
                if name not in known:
                    yield self._at_key((*place, "with", name), f"{item.do} has no input {name!r}", suggest(name, known))
        handlers = [name for playbook in self.playbooks.values() for name in playbook.handlers]
        for index, handler in enumerate(expect.handlers or ()):
            if handler not in handlers:
                yield self._at(("expect", "handlers", index), f"there is no handler {handler!r}", suggest(handler, handlers))

    def _actions_of(self, key: str) -> list[AnyAction]:
        """Return the actions of the steps that a key names: what they do, or with /poll what asks about their job."""
        name = key.removesuffix(POLL)
        doing = [step for step in self._steps_of(name) if isinstance(step, DoStep)]
        names = [step.poll.do for step in doing if step.poll] if name != key else [step.do for step in doing]
        return [self.actions[name] for name in dict.fromkeys(names) if name in self.actions]

    def _steps_of(self, name: str) -> list[StepBase]:
        """Return the steps that an id or a path names."""
        name = without_item(name)
        if "." in name:
            step = step_at(name, self.root, self.playbooks)
            return [step] if step is not None and not isinstance(step, CallStep) else []
        return [step for step in self.steps if step.id == name]

    def _ids(self) -> list[str]:
        return [step.id for step in self.steps]

    def _at(self, where: Place, message: str, hint: str = "") -> Problem:
        return Problem(message, location=self.loaded.document.locate(where), hint=hint)

    def _at_key(self, where: Place, message: str, hint: str = "") -> Problem:
        return Problem(message, location=self.loaded.document.locate_key(where), hint=hint)
