"""The incident of a war room as the Snaphold service wants it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from snaphold.domain.incident import Incident
from snaphold.errors import InputError
from snaphold.soar.xsoar_fields import ASSETS, CATEGORY, INCIDENT
from snaphold.soar.xsoar_names import read_list

_SEVERITIES = ((4, 1), (3, 2), (2, 3), (1, 4))
"""XSOAR's severities from the worst, and ours. Its 0 is unknown, which counts as the worst: waiting costs more."""
_ENDED = (2, 3)
_LONGEST_TITLE, _LONGEST_ID = 500, 120


def incident_id(given: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """Return the incident's id: the argument, else the field, else XSOAR's own number. Raises InputError without any."""
    named = str(arguments.get("incident_id") or _custom(given).get(INCIDENT) or "").strip()
    if named:
        return named
    own = str(given.get("id") or "").strip()
    if not own:
        raise InputError("there is no incident", "the command runs outside of one", "give incident_id, or run it in an incident")
    return f"XSOAR-{_identifier(own)}"


def read_incident(given: Mapping[str, Any], arguments: Mapping[str, Any]) -> Incident | str:
    """Return the incident with its assets, or only its id when it names none: then the service must know it.

    Raises InputError when it cannot be read.
    """
    id = incident_id(given, arguments)
    custom = _custom(given)
    assets = read_list(custom.get(ASSETS))
    if not assets or arguments.get("incident_id"):
        return id
    try:
        return Incident.model_validate(
            {
                "id": id,
                "title": str(given.get("name") or id)[:_LONGEST_TITLE],
                "severity": _severity(given.get("severity")),
                "category": _identifier(str(custom.get(CATEGORY) or given.get("type") or "unclassified")).lower(),
                "declared_at": str(given.get("occurred") or given.get("created") or ""),
                "assets": assets,
                "status": "closed" if given.get("status") in _ENDED else "open",
                "source": "xsoar",
                "description": str(given.get("details") or "")[:20000],
            }
        )
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False))
        raise InputError(
            "the incident cannot be read", faults, "mend the incident's fields, above all Snaphold Assets"
        ) from error


def _custom(given: Mapping[str, Any]) -> Mapping[str, Any]:
    custom: Any = given.get("CustomFields")
    return cast("Mapping[str, Any]", custom) if isinstance(custom, Mapping) else {}


def _severity(given: Any) -> int:
    level = given if isinstance(given, (int, float)) else 0
    return next((ours for theirs, ours in _SEVERITIES if level >= theirs), 1 if not level else 5)


def _identifier(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._@-]+", "-", text).strip("-._@")[:_LONGEST_ID] or "unnamed"
