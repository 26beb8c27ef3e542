"""What a playbook needs on Shuffle beside its actions: begin, branch, join, call another playbook, pause, end.

All decisions are made here and handed to Shuffle as text that a branch compares with `equals`, because its other
operators cannot be trusted. Every function returns the answer of its node; a fault raises SnapholdError.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from snaphold.clock import Clock, format_time, parse_time
from snaphold.documents import suggest
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, SnapholdError, UnknownOutcomeError
from snaphold.playbook.condition import Comparison, choose_case, compare
from snaphold.playbook.inputs import INCIDENT_ID
from snaphold.playbook.reference import Reference
from snaphold.playbook.valuetype import Plain, ValueType
from snaphold.soar.shuffle_memory import Memory
from snaphold.soar.shuffle_step import NEXT, failure, waiting
from snaphold.soar.shuffle_values import plain_text, read_list, read_value, shown

LONGEST_PAUSE_SECONDS = 20.0
"""Below the 30 s that Shuffle gives an action."""
CHILD_BEGINS_WITHIN = timedelta(minutes=5)
"""A called playbook that has not begun by then is started once more; starting it twice does no harm."""
ITEM_VALUES = 8
"""How many inputs a call can hand on."""


@dataclass(frozen=True)
class Desk:
    """What the functions work with: the memory of the run, the clock, and how to sleep."""

    memory: Memory
    clock: Clock
    sleep: Callable[[float], None]


def read_document(value: Any, what: str) -> dict[str, Any]:
    """Return a JSON object that arrives as such or as text. Raises InputError."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    text = plain_text(value).strip()
    try:
        found: Any = json.loads(text) if text else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{what} is no JSON object", f"it arrived as {text[:80]!r}")
    return cast("dict[str, Any]", found)


def run_id(argument: Mapping[str, Any], playbook: str, execution: str) -> str:
    """Return the id of the run: the given one, or one that depends on the playbook and on Shuffle's execution."""
    given = plain_text(argument.get("run", ""))
    return given or "RUN-" + hashlib.sha256(f"{playbook}\n{execution}".encode()).hexdigest()[:16]


def begin(desk: Desk, argument: Mapping[str, Any], playbook: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Begin a run, or its next pass, and return its inputs. A pass that is not the latest one stops by `way` `stale`."""
    memory = desk.memory
    run = memory.recall("run")
    ended = memory.recall("end")
    turn = plain_text(argument.get("pass", "")) or "0"
    if not turn.isdigit():
        raise InputError("the pass is no number", turn)
    if not run:
        run = _first(memory, argument, playbook, declared)
    elif run["playbook"] != playbook:
        raise InputError(f"the run {memory.run} is one of {run['playbook']}, not of {playbook}")
    told = {**shown(run["inputs"]), "run": memory.run, "incident": _incident_id(run), "pass": run["pass"]}
    if ended:
        return {**told, "success": True, "way": "ended", "why": str(ended.get("why", ""))}
    # Started by hand or again by a caller (pass 0): it becomes the latest one, and an older chain of passes ends.
    if turn != "0" and int(turn) != run["pass"] + 1:
        return {**told, "success": True, "way": "stale", "why": "a later pass of this run has begun already"}
    run["pass"] += 1
    memory.record("run", run)
    return {**told, "success": True, "way": NEXT, "pass": run["pass"]}


def _first(memory: Memory, argument: Mapping[str, Any], playbook: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    called = memory.recall("given")
    source: Mapping[str, Any] = called or argument
    incident: Any = source.get("incident") or ""
    if isinstance(incident, str) and incident.lstrip().startswith("{"):
        incident = read_document(incident, "incident")
    run = {
        "playbook": playbook,
        "pass": 0,
        "incident": incident,
        # Every key names the playbook that was started, as in our own runner: two playbooks may have steps of one name.
        "path": str(source.get("path", "")) if called else f"{playbook}.",
        "items": list(source.get("items") or []) if called else [],
        "justification": plain_text(source.get("justification", "")) or f"playbook {playbook} on Shuffle, run {memory.run}",
    }
    if not _incident_id(run):
        raise InputError(
            "the run has no incident", "nothing is done without one", 'start it with {"incident": "INC-1", "inputs": {...}}'
        )
    inputs = read_document(source.get("inputs", {}), "inputs")
    run["inputs"] = _bind(inputs, declared, _incident_id(run))
    return run


def _incident_id(run: Mapping[str, Any]) -> str:
    incident: Any = run["incident"]
    return str(cast("dict[str, Any]", incident).get("id", "")) if isinstance(incident, dict) else str(incident)


def _bind(given: Mapping[str, Any], declared: Mapping[str, Any], incident: str) -> dict[str, Plain]:
    for name in given:
        if name not in declared:
            raise InputError(f"the playbook has no input {name!r}", suggest(name, list(declared)) or None)
    bound: dict[str, Plain] = {}
    for name, declaration in declared.items():
        value: Any = given.get(name)
        if value is None and name == INCIDENT_ID and not declaration.get("default"):
            value = incident
        if value is None:
            value = declaration.get("default")
        if value is None:
            raise InputError(f"the input {name} is required and was not given")
        bound[name] = read_value(value, ValueType(declaration["type"]))
    return bound


def judge_condition(left: Any, kind: str, operator: str, right: str, joiner: str, before: str) -> dict[str, Any]:
    """Return whether a comparison holds, joined with the verdict `before`. A missing value is a fault, never a pass."""
    wanted = ValueType(kind)
    literal = read_value(right, wanted)
    if isinstance(literal, list):
        raise InputError("a list cannot be compared")
    verdict = compare(Comparison(Reference("left", "value"), operator, literal), read_value(left, wanted))
    if joiner:
        if before not in ("true", "false"):
            raise InputError("the verdict of the comparison before is missing")
        first = before == "true"
        verdict = (first and verdict) if joiner == "and" else (first or verdict)
    return {"success": True, "way": NEXT, "holds": "true" if verdict else "false"}


def pick_case(value: Any, kind: str, cases: Any, has_default: bool) -> dict[str, Any]:
    """Return the number of the case that a value equals, from 1; 0 for the default. Raises when there is neither."""
    keys = read_list(cases)
    key = choose_case(read_value(value, ValueType(kind)), keys)
    if key is None and not has_default:
        raise SnapholdError(f"no case is {plain_text(value)!r} and there is no default")
    # A number, because Shuffle's `equals` does not tell upper case from lower case.
    return {"success": True, "way": NEXT, "case": str(keys.index(key) + 1) if key is not None else "0"}


def join(values: Any) -> dict[str, Any]:
    """Return `next` when every list of steps has come to its end, else `stop`: the lists' own ends say why."""
    ways = [part.strip().lower() for part in plain_text(values).split(",")]
    whole = bool(ways) and all(way == "true" for way in ways)
    return {"success": True, "way": NEXT if whole else "stop"}


def call(
    desk: Desk, place: str, items: Any, for_each: bool, at_once: int, given: Mapping[str, Any], items_to: list[str]
) -> dict[str, Any]:
    """Return where a call of another playbook stands: `start` (one, named by `child`), `waiting`, or `next` when all ended."""
    memory, now = desk.memory, desk.clock.now()
    if not memory.recall("run"):
        raise InputError("there is no such run", memory.run)
    chosen = read_list(items) if for_each else [""]
    if for_each and not chosen:
        raise InputError("the list is empty, so nothing would be done")
    if len(set(chosen)) != len(chosen):
        raise InputError("the list holds an item more than once", ", ".join(sorted({i for i in chosen if chosen.count(i) > 1})))
    started = memory.recall(f"step.{place}")
    ends = {index: memory.of(_child(memory, place, index)).recall("end") for index in range(len(chosen)) if str(index) in started}
    bad = [end for end in ends.values() if end and end["outcome"] not in ("succeeded", "partial")]
    failed = [str(end.get("why") or "it failed") for end in bad]
    open_ones = [index for index, end in ends.items() if not end]
    for index in open_ones:
        lost = now - parse_time(str(started[str(index)])) > CHILD_BEGINS_WITHIN
        if lost and not memory.of(_child(memory, place, index)).recall("run"):
            return _start(desk, place, index, chosen[index], started, given, items_to, for_each)
    # After a failure no further one starts, but the first ones would all have begun together, so they still do.
    may_start = not failed or len(ends) < at_once
    if may_start and len(ends) < len(chosen) and len(open_ones) < at_once:
        return _start(desk, place, len(ends), chosen[len(ends)], started, given, items_to, for_each)
    if open_ones:
        return waiting(f"{len(open_ones)} of {len(chosen)} have not ended")
    if failed:
        unknown = any(end["outcome"] == Outcome.UNKNOWN.value for end in bad)
        why = "; ".join(dict.fromkeys(failed))
        answer = failure((UnknownOutcomeError if unknown else SnapholdError)("a called playbook failed", why))
        if any(end.get("handled") for end in bad):
            # A handler or a person has spoken there already: this run ends too, whatever its own steps say.
            answer = {**answer, "success": True, "way": "handled"}
        memory.record(f"step.{place}", {**started, "outcome": answer["outcome"], "answer": {**answer, "success": False}})
        return answer
    outcomes = {str(end["outcome"]) for end in ends.values()}
    outcome = Outcome.PARTIAL if Outcome.PARTIAL.value in outcomes else Outcome.SUCCEEDED
    memory.record(f"step.{place}", {**started, "outcome": outcome.value})
    return {"success": True, "way": NEXT, "outcome": outcome.value}


def _child(memory: Memory, place: str, index: int) -> str:
    return f"{memory.run}.{place.replace('@', '_at_')}.{index}"


def _start(
    desk: Desk, place: str, index: int, item: str, started: Mapping[str, Any], given: Mapping[str, Any],
    items_to: list[str], for_each: bool,
) -> dict[str, Any]:  # fmt: skip
    memory = desk.memory
    run = memory.recall("run")
    inputs = {**given, **dict.fromkeys(items_to, item)}
    child = _child(memory, place, index)
    items = [*run["items"], item] if for_each else run["items"]
    path = f"{run['path']}{place.partition('@')[0]}."
    told = {"incident": run["incident"], "justification": run["justification"], "inputs": inputs, "items": items, "path": path}
    memory.of(child).record("given", told)
    memory.record(f"step.{place}", {**started, str(index): format_time(desk.clock.now())})
    return {"success": True, "way": "start", "child": child}


def pause(desk: Desk, seconds: float) -> dict[str, Any]:
    """Wait a little and return the number of the next pass, so that passes never follow each other without a break."""
    run = desk.memory.recall("run")
    if not run:
        raise InputError("there is no such run", desk.memory.run)
    desk.sleep(min(seconds, LONGEST_PAUSE_SECONDS))
    return {"success": True, "way": NEXT, "run": desk.memory.run, "pass": str(run["pass"] + 1)}


def stop(desk: Desk, place: str, reason: str) -> dict[str, Any]:
    """Record why the playbook stops itself."""
    desk.memory.record(f"step.{place}", {"answer": {"success": False, "why": reason}, "outcome": Outcome.FAILED.value})
    return {"success": True, "way": NEXT, "outcome": Outcome.FAILED.value, "why": reason}


def finish(desk: Desk, ended: str, places: list[str]) -> dict[str, Any]:
    """Record how the run ended (`done`, `failed`, or `handled`: a handler or a person ended it) and return it."""
    notes = [desk.memory.recall(f"step.{place}") for place in places]
    outcomes = {str(note["outcome"]) for note in notes if note.get("outcome")}
    whys = [str(note["answer"].get("why", "")) for note in notes if note.get("answer", {}).get("success") is False]
    outcome = Outcome.SUCCEEDED
    if ended != "done":
        outcome = Outcome.UNKNOWN if Outcome.UNKNOWN.value in outcomes else Outcome.FAILED
    elif outcomes - {Outcome.SUCCEEDED.value}:
        # A step that failed and whose handler says `continue` leaves a run that did not wholly succeed.
        outcome = Outcome.PARTIAL
    end = {"outcome": outcome.value, "why": "; ".join(why for why in whys if why), "handled": ended == "handled"}
    desk.memory.record("end", end)
    return {"success": ended == "done", "way": "ended", **end}
