"""Checks what a simulator answered against the examples in ServiceNow's documentation: there is no OpenAPI document.

A value must be of the same JSON kind as in the example of the same place. A field of a row may come as text, as a
reference, or with its display value: the documentation shows all three.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, cast

from snaphold.simulators.server import Exchange
from support.needs import need_shared

_CELLS = ({"display_value", "value"}, {"link", "value"}, {"display_value", "link", "value"})
_PLACES: Sequence[tuple[str, str, str, str]] = (
    ("POST", r"/oauth_token\.do", "POST", "/oauth_token.do"),
    ("GET", r"/api/now/table/\w+", "GET", "/now/table/{tableName}"),
    ("PATCH", r"/api/now/table/\w+/\w{32}", "PATCH", "/now/table/{tableName}/{sys_id}"),
    ("GET", r"/api/now/cmdb/instance/\w+/\w{32}", "GET", "/now/cmdb/instance/{classname}/{sys_id}"),
    ("POST", r"/api/sn_chg_rest/change/emergency", "POST", "/sn_chg_rest/change/emergency"),
    ("PATCH", r"/api/sn_chg_rest/change/emergency/\w{32}", "PATCH", "/sn_chg_rest/change/emergency/{sys_id}"),
    ("GET", r"/api/sn_chg_rest/change/\w{32}/nextstates", "GET", "/sn_chg_rest/change/{change_sys_id}/nextstates"),
    ("POST", r"/api/sn_chg_rest/change/\w{32}/ci", "POST", "/sn_chg_rest/change/{sys_id}/ci"),
    ("GET", r"/api/sn_chg_rest/change/worker/\w{32}", "GET", "/sn_chg_rest/change/worker/{sys_id}"),
)
UNDOCUMENTED = ("/api/sn_chg_rest/change/standard/template",)
"""Calls whose answers the examples do not show."""
_PARAMETERS = {"sysparm_query", "sysparm_fields", "sysparm_limit", "sysparm_offset", "sysparm_display_value"}


@cache
def documented() -> Mapping[tuple[str, str], list[Any]]:
    """Return the documented answers by method and path."""
    text = need_shared("specs/servicenow/doc_examples.json").read_text(encoding="utf-8")
    found: dict[tuple[str, str], list[Any]] = {}
    for example in json.loads(text)["examples"]:
        bodies = [response["body"] for response in example["responses"]]
        found.setdefault((example["method"], example["path"]), []).extend(bodies)
    return found


def check_documented(exchanges: Iterable[Exchange]) -> int:
    """Raise AssertionError when a call or an answer is not as documented; return how many were looked at."""
    count = 0
    for exchange in exchanges:
        call, reply = exchange.call, exchange.reply
        assert set(call.query) <= _PARAMETERS, call.query
        key = next((at for method, path, *at in _PLACES if method == call.method and re.fullmatch(path, call.path)), None)
        assert key is not None or call.path in UNDOCUMENTED, f"{call.method} {call.path} is not in the documentation"
        count += 1
        if key is None or reply is None or exchange.fault in ("garbage", "other_shape"):
            continue
        mine = json.loads(reply.content())
        if reply.status == 429:
            _compare(mine, documented()["ANY", "*"][0], call.path)
        elif reply.status < 300:
            examples = documented()[key[0], key[1]]
            faults = [
                _fault(mine, example, call.path) for example in examples if "result" in example or "access_token" in example
            ]
            assert None in faults, faults[0]
    return count


def _fault(mine: Any, theirs: Any, place: str) -> str | None:
    try:
        _compare(mine, theirs, place)
    except AssertionError as error:
        return str(error)
    return None


def _compare(mine: Any, theirs: Any, place: str) -> None:
    if _is_cell(mine) and (_is_cell(theirs) or isinstance(theirs, (str, int, float, bool))):
        return
    if theirs is None or mine is None:
        return
    assert _kind(mine) == _kind(theirs), f"{place}: {_kind(mine)} where the documentation has {_kind(theirs)}"
    if isinstance(mine, dict):
        for name, value in cast("dict[str, Any]", mine).items():
            if name in theirs:
                _compare(value, theirs[name], f"{place}.{name}")
    elif isinstance(mine, list) and theirs:
        for item in cast("list[Any]", mine):
            _compare(item, theirs[0], f"{place}[]")


def _is_cell(value: Any) -> bool:
    return isinstance(value, dict) and set(cast("dict[str, Any]", value)) in _CELLS


def _kind(value: Any) -> str:
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__
