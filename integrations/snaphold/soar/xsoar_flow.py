"""The commands that compiled playbooks use to keep to their source: the items of a loop, how parts ended, why one stops.

They answer from their arguments alone and speak to no service.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from snaphold.errors import InputError, ProviderError, StorageError
from snaphold.soar import xsoar_names as names
from snaphold.soar.xsoar_call import step_context, whole_number
from snaphold.soar.xsoar_server import Server
from snaphold.soar.xsoar_text import error_text, plain, table
from snaphold.soar.xsoar_turns import begin_loop, check_turn, note_done

MOST_ITEMS = 1000
OUTCOMES = (names.DONE, names.FAILED, names.STOPPED, names.DECIDED, names.SETTLED)


def list_items(server: Server, arguments: Mapping[str, Any]) -> Any:
    """Return the items of a loop and the place of each turn. Raises InputError for no item, or one that stands twice."""
    items = names.read_list(arguments.get("items"))
    if not items:
        raise InputError("the list of the loop is empty", "nothing would be done", "look at the step that gave the list")
    if len(set(items)) != len(items):
        twice = sorted({item for item in items if items.count(item) > 1})
        raise InputError(f"the list of the loop holds {', '.join(twice)} more than once")
    if len(items) > MOST_ITEMS:
        raise InputError(f"the loop has {len(items)} items", f"at most {MOST_ITEMS} can be run")
    place, step = str(arguments.get("place") or ""), str(arguments.get("step") or "")
    # Named by the item, not by its number: a second run may meet the items in another order.
    places = [f"{place[:-1]}[{item.replace(',', '+')}]." for item in items]
    begin_loop(server, place, places, whole_number(arguments, "at_once", 1, 1, MOST_ITEMS))
    # XSOAR takes text with commas apart, and a list of one item is handed on as text: no item may hold a comma.
    safe = [item.replace(",", ";") for item in items]
    path = f"{names.ITEMS_PREFIX}.{step.rpartition('.')[2]}(val.step && val.step == obj.step)"
    context = {path: {"step": step, "item": safe, "place": places, "place_json": json.dumps(places)}}
    shown = table(("Item", "Place"), zip(items, places, strict=True))
    return server.CommandResults(outputs=context, readable_output=shown, raw_response={"items": items})


def note_end(server: Server, arguments: Mapping[str, Any]) -> Any:
    """Note how a playbook, or a branch of one, ended. Raises InputError for an outcome that is none."""
    place, outcome = str(arguments.get("place") or ""), str(arguments.get("outcome") or "")
    if outcome not in OUTCOMES or not place:
        raise InputError(f"{outcome!r} at {place!r} is no ending", f"an outcome is one of {', '.join(OUTCOMES)}")
    if outcome == names.SETTLED:
        marks = names.read_list(arguments.get("ended"))
        stopped = f"{place}={names.DECIDED}" in marks and f"{place}={names.FAILED}" not in marks
        outcome = names.STOPPED if stopped else names.FAILED
    kept = ""
    if outcome == names.DONE:
        try:
            note_done(server, place)
        except StorageError as error:
            kept = f"\n\nNo later turn of the loop will begin. {error_text(error)}"
    mark = f"{place}={outcome}"
    context = {f"{names.ENDED_PREFIX}(val.mark && val.mark == obj.mark)": {"mark": mark, "place": place, "outcome": outcome}}
    return server.CommandResults(outputs=context, readable_output=f"{plain(place)}: {outcome}{kept}", raw_response={"mark": mark})


def begin_turn(server: Server, arguments: Mapping[str, Any]) -> Any:
    """Let a playbook begin. Raises ProviderError when it is a turn of a loop of which an earlier turn is not done."""
    place = str(arguments.get("place") or "")
    check_turn(server, place)
    return server.CommandResults(readable_output=f"{plain(place)} begins.", raw_response={"place": place})


def judge_ends(server: Server, arguments: Mapping[str, Any]) -> Any:
    """Return how all turns or branches ended together: done only when every one was. A missing mark is a failure."""
    places = names.read_list(arguments.get("places"))
    marks = set(names.read_list(arguments.get("ended")))
    if not places:
        raise InputError("no places are given", do="compile the playbook again")
    stopped = [place for place in places if f"{place}={names.STOPPED}" in marks]
    undone = [
        place for place in places if f"{place}={names.DONE}" not in marks or f"{place}={names.FAILED}" in marks
    ]  # fmt: skip
    state = names.STOPPED if stopped else names.FAILED if undone else names.DONE
    shown = table(("Place", "State"), [(place, _word(place, marks)) for place in places])
    context = step_context(str(arguments.get("step") or ""), {"state": state})
    return server.CommandResults(outputs=context, readable_output=shown, raw_response={"state": state})


def tell_stop(server: Server, arguments: Mapping[str, Any]) -> Any:
    """Fail with the reason for which the playbook stops, so that the task shows it in red and takes its error path."""
    del server
    raise ProviderError("the playbook stops", str(arguments.get("reason") or "no reason is given"))


def _word(place: str, marks: set[str]) -> str:
    found = [word for word in (names.STOPPED, names.FAILED, names.DONE) if f"{place}={word}" in marks]
    return found[0] if found else "did not come to its end"
