"""The JSON Schemas of the documents that people write: made from the models, the same from build to build."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from snaphold.documents import suggest
from snaphold.errors import InputError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SHIPPED = {
    "configuration": "snaphold.schema.json",
    "incident": "incident.schema.json",
    "playbook": "playbook.schema.json",
    "case": "case.schema.json",
    "custody": "custody-record.schema.json",
    "evidence": "evidence.schema.json",
}
"""The file in `schemas/` of each document."""


def schema_text(document: str) -> str:
    """Return the JSON Schema (2020-12) of a document as text, as it stands in `schemas/`.

    Raises InputError, with the nearest name, for a document that has none.
    """
    if document in _GENERATED:
        return json.dumps(_GENERATED[document](), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    from snaphold.resources import folder

    path = folder("schemas") / SHIPPED.get(document, "")
    if document not in SHIPPED or not path.is_file():
        why = " ".join(part for part in (suggest(document, list(SHIPPED)), f"known: {', '.join(SHIPPED)}") if part)
        raise InputError(f"there is no schema of {document!r}", why)
    return path.read_text(encoding="utf-8")


def _configuration() -> dict[str, Any]:
    from snaphold.config import Configuration
    from snaphold.fields import schema_of

    return {"$schema": DIALECT, **schema_of(Configuration), "title": "Snaphold configuration"}


def _incident() -> dict[str, Any]:
    from snaphold.domain.incident import Incident
    from snaphold.fields import schema_of

    return {"$schema": DIALECT, **schema_of(Incident), "title": "Snaphold incident"}


_GENERATED: dict[str, Callable[[], dict[str, Any]]] = {"configuration": _configuration, "incident": _incident}
