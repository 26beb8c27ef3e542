"""The JSON Schemas of our own formats in a package: custody record and evidence.json; made from the models."""

from __future__ import annotations

import json

from snaphold.domain.value import Value
from snaphold.evidence.custody_record import CustodyRecord
from snaphold.evidence.metadata import EvidenceMetadata
from snaphold.fields import schema_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS: dict[str, tuple[type[Value], str]] = {
    "custody-record.schema.json": (CustodyRecord, "Snaphold custody record: one line of custody/custody.jsonl"),
    "evidence.schema.json": (EvidenceMetadata, "Snaphold evidence: metadata/evidence.json"),
}


def schema_text(name: str) -> str:
    """Return the schema as it stands in `schemas/NAME`."""
    model, title = SCHEMAS[name]
    document = {"$schema": DIALECT, **schema_of(model, "serialization"), "title": title}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
