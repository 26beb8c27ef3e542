"""ServiceNow's CMDB: which configuration item an asset is, and what it depends on, walked to the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from snaphold.config import Integration
from snaphold.errors import ProviderError
from snaphold.http_session import read_answer
from snaphold.platforms.base import Dependencies
from snaphold.platforms.credentials import setting
from snaphold.platforms.servicenow_rows import SYS_ID, InstanceAnswer, Row, refusal
from snaphold.platforms.servicenow_session import ServiceNowSession

DEPENDENCY_TYPES = "Depends on::Used by, Runs on::Runs, Hosted on::Hosts"
"""Relation types in which the parent needs the child; the setting `dependency_types` replaces them."""
MOST_ITEMS = 1000
_OK = 200


def find_items(session: ServiceNowSession, names: Sequence[str]) -> tuple[dict[str, Row], list[str]]:
    """Return the configuration item of each name, and a finding for each name without exactly one."""
    found: dict[str, Row] = {}
    findings: list[str] = []
    for name in dict.fromkeys(names):
        rows = session.rows("cmdb_ci", {"name": name}, ("sys_class_name",))
        if len(rows) == 1:
            found[name] = rows[0]
        else:
            how = "does not know" if not rows else f"has {len(rows)} items called"
            findings.append(f"the CMDB {how} {name}")
    return found, findings


def read_dependencies(session: ServiceNowSession, integration: Integration, names: Sequence[str]) -> Dependencies:
    """Return what the named items need, directly or not. Raises ProviderError beyond a thousand items."""
    types = {text.strip() for text in setting(integration, "dependency_types", DEPENDENCY_TYPES).split(",")}
    item_class = setting(integration, "dependency_class", "cmdb_ci")
    items, findings = find_items(session, names)
    waiting = deque((row["sys_id"].value, name) for name, row in items.items())
    seen = dict(waiting)
    needs: dict[str, tuple[str, ...]] = {}
    while waiting:
        sys_id, name = waiting.popleft()
        needed: list[str] = []
        for target_id, target_name in _needed(session, item_class, sys_id, name, types):
            if target_id not in seen:
                if len(seen) >= MOST_ITEMS:
                    raise ProviderError(
                        "the CMDB has too many dependencies", f"more than {MOST_ITEMS} items", "name fewer assets"
                    )
                # Two items of one name are told apart, or they would look like one.
                shown = target_name if target_name not in seen.values() else f"{target_name} ({target_id})"
                seen[target_id] = shown
                waiting.append((target_id, shown))
            needed.append(seen[target_id])
        needs[name] = tuple(dict.fromkeys(needed))
    unknown = tuple(name for name in dict.fromkeys(names) if name not in items)
    return Dependencies(needs=needs, unknown=unknown, findings=tuple(findings))


def _needed(session: ServiceNowSession, item_class: str, sys_id: str, name: str, types: set[str]) -> list[tuple[str, str]]:
    answer = session.call("GET", f"/api/now/cmdb/instance/{item_class}/{sys_id}")
    if answer.status != _OK:
        raise refusal(answer, f"the configuration item {name}")
    instance = read_answer(answer, InstanceAnswer, f"the configuration item {name}").result
    targets = [relation.target for relation in instance.outbound_relations if relation.type.shown in types]
    wrong = [target.shown for target in targets if not SYS_ID.fullmatch(target.value)]
    if wrong:
        raise ProviderError(f"the CMDB names what {name} needs without an id", ", ".join(wrong)[:200], "look at the item")
    return [(target.value, target.shown or target.value) for target in targets]
