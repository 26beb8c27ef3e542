"""A printed runbook, followed as a person follows it: its own text, its commands as they stand, a real engine."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snaphold.targets.runbook import compile_runbook
from support.playbooks import shipped
from support.small_estate import Said, build, snaphold

pytestmark = pytest.mark.slow
STEP = re.compile(r"^\*\*(?P<number>\d+)\. .*\*\* \((?P<kind>[a-z ]+)\)$")
NOTE = re.compile(r"^- \[ \] (?P<name>[a-z_]+) \(.*\): _+$")
WAY = re.compile(r"^- (?P<when>.+): \*\*(?P<then>.+)\*\*$")
DECISION = re.compile(r"If (?P<name>\w+) of step (?P<step>\d+) is (?P<value>\w+)")
GOOD_CODES = (0, 3)
LONGEST_SECONDS = 240.0


@dataclass
class Step:
    """What the page says of one step."""

    kind: str
    command: str = ""
    notes: list[str] = field(default_factory=list[str])
    ways: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def read_page(text: str) -> dict[int, Step]:
    """Return the numbered steps of a page."""
    found: dict[int, Step] = {}
    step, inside = Step(""), False
    for line in text.partition("## Consoles")[0].splitlines():
        begins, note, way = STEP.match(line), NOTE.match(line), WAY.match(line)
        if begins:
            step = found[int(begins["number"])] = Step(begins["kind"])
        elif line.startswith("```"):
            inside = line == "```sh"
        elif inside:
            step.command += line + "\n"
        elif note:
            step.notes.append(note["name"])
        elif way:
            step.ways.append((way["when"], way["then"]))
    return found


@dataclass
class Person:
    """Follows a page in a folder; `before` is what happens unseen before a step."""

    folder: Path
    inputs: Mapping[str, str]
    before: Mapping[int, Callable[[], None]]
    written: dict[str, str] = field(default_factory=dict[str, str])
    done: list[int] = field(default_factory=list[int])

    def follow(self, page: Mapping[int, Step]) -> str:
        """Do the steps; return the words with which the page ends the work."""
        number = 1
        while True:
            self.before.get(number, lambda: None)()
            self.done.append(number)
            then = self._choose(number, page[number])
            leads = re.fullmatch(r"Go to step (\d+)\.", then)
            if leads is None:
                return then
            number = int(leads[1])

    def _choose(self, number: int, step: Step) -> str:
        if step.kind == "do":
            said = self._run(number, step)
            return step.ways[0 if said.code in GOOD_CODES else 1][1]
        if step.kind == "ask again":
            return self._ask_until(number, step)
        assert step.kind == "decide", step.kind
        for when, then in step.ways:
            decided = DECISION.fullmatch(when)
            if decided is None:
                assert when == "Otherwise"
                return then
            if self.written[f"{decided['name']} of step {decided['step']}"] == decided["value"]:
                return then
        raise AssertionError("no way fits")

    def _ask_until(self, number: int, step: Step) -> str:
        end = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < end:
            state = fields(self._run(number, step).out)["state"]
            for when, then in step.ways:
                if when == f"If the state is {state}":
                    return then
            time.sleep(0.5)
        raise AssertionError("the job does not end")

    def _run(self, number: int, step: Step) -> Said:
        command = step.command.replace("\\\n", "")
        told = {**{f"the input {name}": value for name, value in self.inputs.items()}, **self.written}
        told["why you do this"] = "Ransomware on the file server"
        words = [re.sub(r"<([^>]+)>", lambda found: told[found[1]], word) for word in shlex.split(command)]
        assert words.pop(0) == "snaphold"
        said = snaphold(self.folder, *words)
        shown = fields(said.out)
        self.written |= {f"{name} of step {number}": shown[name] for name in step.notes if name in shown}
        return said


def fields(out: str) -> dict[str, str]:
    """Return what a command shows, as a person reads it: a name, spaces, a value."""
    lines = (line.split(None, 1) for line in out.splitlines() if line.strip() and not line.startswith(" "))
    return {parts[0]: parts[1].strip() if len(parts) > 1 else "" for parts in lines}


def page_of(name: str) -> dict[int, Step]:
    files = compile_runbook(shipped(name), {}).files
    return read_page(next(content for path, content in files.items() if path.endswith(".md")).decode())


def damage(folder: Path) -> None:
    """Overwrite what the repository keeps of the share."""
    for path in (folder / "pools/isolated-01").rglob("data/*/*"):
        path.chmod(0o600)
        path.write_bytes(bytes(path.stat().st_size))


def test_a_person_who_follows_the_page_has_a_verified_backup_in_the_end(tmp_path: Path) -> None:
    person = Person(build(tmp_path), {"asset": "files-01"}, {})
    assert person.follow(page_of("snapshot-asset")) == "The playbook is done."
    assert person.done == [1, 2, 3, 4]
    assert person.written["restore_point of step 2"].startswith("RP-files-01-")
    assert person.written["faulty of step 3"] == "false"


def test_the_page_ends_in_failure_when_the_backup_does_not_verify(tmp_path: Path) -> None:
    folder = build(tmp_path)
    person = Person(folder, {"asset": "files-01"}, {3: lambda: damage(folder)})
    assert person.follow(page_of("snapshot-asset")) == "The playbook has failed: stop."
    assert person.done[:3] == [1, 2, 3]


def test_the_page_ends_in_failure_when_nothing_can_be_started(tmp_path: Path) -> None:
    person = Person(build(tmp_path), {"asset": "files-99"}, {})
    assert person.follow(page_of("snapshot-asset")) == "The playbook has failed: stop."
    assert person.done == [1]
