"""Turns of a loop on XSOAR: none begins after one that did not come to its end, and nothing is believed that is not kept."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from snaphold.soar import xsoar, xsoar_turns
from snaphold.soar.xsoar_turns import MOST_LOOPS, PREFIX
from support.xsoar_play import shim

PLACES = ["p.wave[a]."]


@pytest.fixture(autouse=True)
def empty_context(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(xsoar_turns, "_PAUSE_SECONDS", 0)
    shim()[0].KEPT.update({"context": {}, "version": 0})
    yield
    shim()[0].KEPT.update({"context": {}, "version": 0})


def run(command: str, incident: str = "1", **arguments: Any) -> dict[str, Any]:
    """Run a command through the entry point and return what the war room got."""
    demisto, server = shim()
    demisto.STATE.clear()
    demisto.STATE.update({"command": command, "args": arguments, "incident": {"id": incident}})
    demisto.RESULTS.clear()
    with contextlib.suppress(SystemExit):
        xsoar.run({**vars(server), "demisto": demisto}, {})
    (entry,) = demisto.RESULTS
    return entry


def begin(items: str, incident: str = "1", **more: Any) -> list[str]:
    """Begin a loop and return the places of its turns."""
    entry = run("snaphold-flow-items", incident, items=items, place="p.wave.", step="p.wave", **more)
    (found,) = entry["EntryContext"].values()
    return found["place"]


def may(place: str, incident: str = "1") -> bool:
    return run("snaphold-flow-turn", incident, place=place)["Type"] == 1


def end(place: str, outcome: str, incident: str = "1") -> dict[str, Any]:
    return run("snaphold-flow-end", incident, place=place, outcome=outcome)


def test_after_a_turn_that_failed_no_later_one_begins() -> None:
    first, second, third = begin("a,b,c")
    assert may(first)
    end(first, "done")
    assert may(second)
    end(second, "failed")
    assert not may(third)


def test_as_many_turns_begin_as_would_have_begun_side_by_side() -> None:
    first, second, third = begin("a,b,c", at_once="2")
    end(first, "failed")
    assert may(second)
    end(second, "done")
    assert not may(third)


def test_a_loop_that_is_begun_again_forgets_how_it_stood() -> None:
    first, second = begin("a,b")
    end(first, "failed")
    assert not may(second)
    first, second = begin("a,b")
    end(first, "done")
    assert may(second)


def test_the_same_place_in_another_incident_is_another_loop() -> None:
    first, second = begin("a,b")
    begin("a,b", incident="2")
    end(first, "done", incident="2")
    assert not may(second)
    assert may(second, incident="2")


def test_what_is_no_turn_always_begins_and_a_turn_that_is_not_known_never_does() -> None:
    assert may("ransomware-response.")
    assert not may("p.wave[a].")


def test_what_others_keep_in_the_context_stays_and_the_oldest_loops_are_forgotten() -> None:
    demisto = shim()[0]
    demisto.KEPT["context"] = {"another": "text", f"{PREFIX}1.broken": "{", f"{PREFIX}1.other": "[]"}
    for number in range(MOST_LOOPS + 5):
        begin("a", incident=str(number))
    kept = demisto.KEPT["context"]
    assert kept["another"] == "text"
    assert len(kept) == MOST_LOOPS + 1
    assert json.loads(kept[f"{PREFIX}{MOST_LOOPS + 4}.p.wave."])["places"] == PLACES


def test_a_change_by_another_command_is_not_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    demisto, server = shim()
    first, second = begin("a,b")
    real, turns = server.set_integration_context, [0]

    def meddle(context: dict[str, Any], sync: bool = True, version: int = -1) -> None:
        if not turns[0]:
            turns[0] = 1
            demisto.KEPT.update({"context": {**demisto.KEPT["context"], "x": "y"}, "version": demisto.KEPT["version"] + 1})
        real(context, sync, version)

    monkeypatch.setattr(server, "set_integration_context", meddle)
    end(first, "done")
    assert may(second)
    assert demisto.KEPT["context"]["x"] == "y"


def test_an_end_that_cannot_be_kept_is_told_and_lets_no_later_turn_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    _, server = shim()
    first, second = begin("a,b")

    def refuse(*_arguments: Any, **_named: Any) -> None:
        raise ValueError("DB Version mismatch")

    with monkeypatch.context() as patch:
        patch.setattr(server, "set_integration_context", refuse)
        entry = end(first, "done")
        assert entry["Type"] == 1
        assert "No later turn of the loop will begin" in entry["HumanReadable"]
        assert run("snaphold-flow-items", items="a", place="p.", step="p")["Type"] == server.ERROR_ENTRY
    assert not may(second)
