"""What the installer does to a compiled workflow: new ids, environment, authentication, webhook; and how it compares."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from snaphold.soar.shuffle_names import APP, METHODS
from snaphold.targets.shuffle_parts import ID_TAG

INSTALLED_TAG = "snaphold-installed:"
"""Carries the digest of what was written, so that a later change by hand can be told from an older version."""
HEADER = "X-Snaphold-Webhook"
_LINKS = ("workflow", "subflow", "subflow_failure")
_NO_SERVICE = frozenset(method.name for method in METHODS if not method.needs_service)
Json = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What belongs to the server, not to the playbook."""

    url: str
    environment: str = "Shuffle"
    authentication_id: str = ""
    webhook_secret: str = ""
    overwrite: bool = False


def own_id(document: Mapping[str, Any]) -> str:
    """Return the stable id that a workflow's tag carries. Raises KeyError when it has none."""
    for tag in cast("list[str]", document.get("tags") or []):
        if tag.startswith(ID_TAG):
            return tag.removeprefix(ID_TAG)
    raise KeyError(ID_TAG)


def links_of(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids of the workflows that this one starts."""
    for trigger in document["triggers"]:
        for one in trigger["parameters"]:
            if one["name"] in _LINKS and one["value"]:
                yield str(one["value"])


def webhooks_of(document: Mapping[str, Any]) -> list[Json]:
    """Return the webhook triggers of a workflow."""
    return [trigger for trigger in document["triggers"] if trigger["trigger_type"] == "WEBHOOK"]


def prepared(document: Json, ids: Mapping[str, str], settings: Settings) -> Json:
    """Return the workflow as it is to stand on the server; the given one is left as it is."""
    found = copy.deepcopy(document)
    found["id"] = ids[own_id(document)]
    for node in (*found["actions"], *found["triggers"]):
        node["environment"] = settings.environment
    for action in found["actions"]:
        if action["app_name"] == APP and action["name"] not in _NO_SERVICE and settings.authentication_id:
            action["authentication_id"] = settings.authentication_id
    for trigger in found["triggers"]:
        for one in trigger["parameters"]:
            if one["name"] in _LINKS and one["value"]:
                one["value"] = ids[one["value"]]
        if trigger["trigger_type"] == "WEBHOOK":
            _fill_webhook(trigger, settings)
    found["tags"] = [tag for tag in found["tags"] if not tag.startswith(INSTALLED_TAG)]
    found["tags"].append(INSTALLED_TAG + projection_digest(found))
    return found


def _fill_webhook(trigger: Json, settings: Settings) -> None:
    hook = f"webhook_{trigger['id']}"
    # Without a secret the placeholder stays and the webhook is not started: an empty header would let anybody in.
    header = f"{HEADER}: {settings.webhook_secret or 'CHANGE-ME'}"
    told = {"url": f"{settings.url.rstrip('/')}/api/v1/hooks/{hook}", "tmp": hook, "auth_headers": header}
    for one in trigger["parameters"]:
        one["value"] = told.get(one["name"], one["value"])


def projection(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of a workflow, by name: what the server itself adds or renumbers is left out."""
    found: dict[str, Any] = {"name": document.get("name"), "start": document.get("start")}
    for kind, keys in (("action", ("app_name", "app_version", "name")), ("trigger", ("trigger_type", "app_name"))):
        for node in _items(document, f"{kind}s"):
            what: Json = {key: node.get(key) for key in (*keys, "label", "environment", "execution_delay")}
            what["authentication_id"] = node.get("authentication_id") or ""
            # In order, because the user interface addresses the parameters of triggers by number.
            what["parameters"] = [[one.get("name"), one.get("value")] for one in _items(node, "parameters")]
            found[f"{kind} {node.get('label')} ({node.get('id')})"] = what
    for branch in _items(document, "branches"):
        conditions = [_condition(one) for one in _items(branch, "conditions")]
        found[f"branch {branch.get('id')}"] = [branch.get("source_id"), branch.get("destination_id"), conditions]
    return found


def _items(document: Mapping[str, Any], key: str) -> list[Json]:
    return cast("list[Json]", document.get(key) or [])


def _condition(one: Json) -> list[Any]:
    left, operator, right = (cast("Json", one.get(part) or {}) for part in ("source", "condition", "destination"))
    return [left.get("value"), operator.get("value"), bool(operator.get("configuration")), right.get("value")]


def projection_digest(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what counts of a workflow."""
    return hashlib.sha256(json.dumps(projection(document), sort_keys=True).encode()).hexdigest()


def installed_digest(document: Mapping[str, Any]) -> str:
    """Return the digest that was written at the last installation; empty when there was none."""
    tags = cast("list[str]", document.get("tags") or [])
    return next((tag.removeprefix(INSTALLED_TAG) for tag in tags if tag.startswith(INSTALLED_TAG)), "")


def differences(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """Return what differs on the server, one sentence each. Values are not shown: a webhook's secret is one of them."""
    ours, theirs = projection(wanted), projection(present)
    found = [f"{name} is missing" for name in ours if name not in theirs]
    found += [f"{name} is not ours" for name in theirs if name not in ours]
    found += [f"{name} differs" for name in ours if name in theirs and ours[name] != theirs[name]]
    stamped = [tag for tag in wanted["tags"] if tag not in (present.get("tags") or [])]
    return found + [f"the tag {tag.partition(':')[0]} is missing or older" for tag in stamped]
