"""Which turns of a loop may begin on XSOAR: after one that did not come to its end, none that would have come later.

XSOAR itself goes on with the other turns of a loop when one has failed, and a turn sees nothing of the others. So the
integration's own context keeps, for each loop of an incident, its turns and those that are done.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from snaphold.errors import ProviderError, StorageError
from snaphold.soar.xsoar_server import Server

PREFIX = "snaphold.turns."
MOST_LOOPS = 200
"""The oldest loops are forgotten first; the integration's context is one document for all incidents."""
TRIES = 6
_PAUSE_SECONDS = 0.2
Loop = dict[str, Any]


def begin_loop(server: Server, loop: str, places: Sequence[str], at_once: int) -> None:
    """Note the turns of a loop, none of them done. Raises StorageError when the server does not keep it."""
    fresh: Loop = {"places": list(places), "at_once": at_once, "done": [], "began": time.time()}
    _change(server, lambda loops: loops.__setitem__(_name(server, loop), fresh))


def note_done(server: Server, place: str) -> None:
    """Note that a turn came to its end, when the place is one. Raises StorageError when the server does not keep it."""
    if not place.endswith("]."):
        return

    def note(loops: dict[str, Loop]) -> None:
        found = _loop_of(server, loops, place)
        if found is not None and place not in found["done"]:
            found["done"].append(place)

    _change(server, note)


def check_turn(server: Server, place: str) -> None:
    """Return when a playbook may begin at a place. Raises ProviderError when an earlier turn of its loop is not done."""
    if not place.endswith("]."):
        return
    found = _loop_of(server, _loops(server)[0], place)
    if found is None:
        raise ProviderError(
            "this turn of a loop is not known", "XSOAR has lost what it kept of the loop", "run the playbook again"
        )
    before = found["places"][: found["places"].index(place)]
    undone = [one for one in before if one not in found["done"]]
    if len(before) >= int(found["at_once"]) and undone:
        raise ProviderError("this turn is not begun", f"{undone[0].rstrip('.')} did not come to its end")


def _incident(server: Server) -> str:
    return str((server.demisto.incident() or {}).get("id") or "")


def _name(server: Server, loop: str) -> str:
    return f"{PREFIX}{_incident(server)}.{loop}"


def _loop_of(server: Server, loops: Mapping[str, Loop], place: str) -> Loop | None:
    own = f"{PREFIX}{_incident(server)}."
    return next((loop for name, loop in loops.items() if name.startswith(own) and place in loop["places"]), None)


def _loops(server: Server) -> tuple[dict[str, Loop], dict[str, Any], Any]:
    """Return the loops, the whole context, and its version."""
    context, version = server.get_integration_context_with_version()
    whole: dict[str, Any] = dict(context or {})
    found: dict[str, Loop] = {}
    for name, text in whole.items():
        if name.startswith(PREFIX):
            try:
                read: Any = json.loads(text)
            except (TypeError, ValueError):
                continue  # not ours, or cut off: the turn is then unknown, which is no pass
            if isinstance(read, dict) and {"places", "at_once", "done", "began"} <= set(cast("Loop", read)):
                found[name] = cast("Loop", read)
    return found, whole, version


def _change(server: Server, change: Callable[[dict[str, Loop]], None]) -> None:
    """Change the loops. The server refuses a version that is not the latest, and then it is tried again."""
    fault = ""
    for turn in range(TRIES):
        loops, whole, version = _loops(server)
        change(loops)
        kept = sorted(loops, key=lambda name: float(loops[name]["began"]))[-MOST_LOOPS:]
        others = {name: value for name, value in whole.items() if not name.startswith(PREFIX)}
        try:
            server.set_integration_context({**others, **{name: json.dumps(loops[name]) for name in kept}}, version=version)
        except Exception as error:  # noqa: BLE001  the server's own exceptions have no common type
            fault = type(error).__name__
            time.sleep(_PAUSE_SECONDS * (turn + 1))
            continue
        return
    raise StorageError("XSOAR does not keep how the loop stands", fault, "run the playbook again")
