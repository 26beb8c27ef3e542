from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest

from snaphold.config import load_configuration
from snaphold.config_sample import sample_text
from snaphold.documents import load_document
from snaphold.errors import InputError
from snaphold.json_schemas import SHIPPED, schema_text
from snaphold.resources import folder

INVALID = Path(__file__).parent / "data/configuration/invalid"
# What a schema cannot say: names that refer to each other, calendars, and limits of text.
BEYOND_A_SCHEMA = {
    "alternate-is-the-primary", "asset-twice", "cases-followed-as-nobody", "date-that-does-not-exist",
    "duration-beyond-a-hundred-years",
    "grant-of-no-length", "retention-twice", "severity-and-category-ruled-twice", "severity-ruled-twice",
    "tier-routed-twice", "tier-twice", "unknown-member-of-a-role", "unknown-pool-of-a-route", "unknown-pool-of-an-asset",
    "unknown-tier-of-a-route", "unknown-tier-of-a-rule", "unknown-tier-of-an-asset",
}  # fmt: skip


def validator(document: str) -> Any:
    schema = json.loads(schema_text(document))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    "document", [name for name in SHIPPED if name in ("configuration", "incident") or name.startswith("webhook")]
)
def test_the_shipped_schema_is_what_the_model_gives(document: str) -> None:
    shipped = (folder("schemas") / SHIPPED[document]).read_text(encoding="utf-8")
    remedy = f"run: snaphold config schema {document} > schemas/{SHIPPED[document]}"
    assert shipped == schema_text(document), remedy


def test_the_sample_is_valid_for_the_schema_and_for_the_model(tmp_path: Path) -> None:
    path = tmp_path / "snaphold.yaml"
    path.write_text(sample_text(), encoding="utf-8")
    load_configuration(path)
    validator("configuration").validate(load_document(path).data)


def test_the_schema_refuses_what_the_model_refuses() -> None:
    check = validator("configuration")
    seen = 0
    for path in sorted(INVALID.glob("*.yaml")):
        try:
            data = load_document(path).data
        except InputError:
            continue  # not YAML that is allowed, so no schema ever sees it
        seen += 1
        assert check.is_valid(data) is (path.stem in BEYOND_A_SCHEMA), path.name
    assert seen > len(BEYOND_A_SCHEMA)


def test_an_incident_is_checked_by_its_schema() -> None:
    document = {
        "id": "INC-1", "title": "Ransomware", "severity": 1, "category": "ransomware",
        "declared_at": "2026-11-22T18:00:00Z", "assets": ["files-01"],
    }  # fmt: skip
    check = validator("incident")
    assert check.is_valid(document)
    wrong: list[dict[str, Any]] = [{"severity": 0}, {"assets": []}, {"id": "../x"}, {"extra": 1}, {"title": ""}]
    for change in wrong:
        assert not check.is_valid({**document, **change}), change


def test_durations_are_text_also_where_they_are_defaults() -> None:
    schema = cast("dict[str, Any]", json.loads(schema_text("configuration")))
    assert schema["$defs"]["Tier"]["properties"]["acknowledge_within"]["default"] == "15m"


def test_a_document_without_a_schema_is_named() -> None:
    with pytest.raises(InputError) as caught:
        schema_text("playbok")
    assert 'did you mean "playbook"?' in str(caught.value)
