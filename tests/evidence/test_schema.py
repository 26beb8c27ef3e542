"""The schemas of our own formats describe what a real package holds."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from snaphold.evidence.schema import SCHEMAS, schema_text
from snaphold.resources import folder
from support.evidence_packages import Sealed, seal


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return seal(tmp_path_factory.mktemp("sealed"))


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_schema_file_is_what_the_model_gives(name: str) -> None:
    shipped: Path = folder("schemas") / name
    assert shipped.read_text(encoding="utf-8") == schema_text(name), "write what snaphold.evidence.schema.schema_text returns"


def test_a_real_package_fits_the_schemas(sealed: Sealed) -> None:
    record = json.loads(schema_text("custody-record.schema.json"))
    for line in (sealed.package / "custody/custody.jsonl").read_text().splitlines():
        jsonschema.validate(json.loads(line), record)
    metadata = json.loads((sealed.package / "metadata/evidence.json").read_text())
    jsonschema.validate(metadata, json.loads(schema_text("evidence.schema.json")))
