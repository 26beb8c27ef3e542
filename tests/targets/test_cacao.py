"""The CACAO export: valid by both schema sets, complete, read back without loss, the same bytes every time."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.action import catalogue
from snaphold.errors import InputError, PlaybookError
from snaphold.playbook.load import LoadedPlaybook, load_parts
from snaphold.targets.base import stable_uuid
from snaphold.targets.cacao import cacao_document, compile_cacao
from snaphold.targets.cacao_lint import is_pattern, lint_cacao
from snaphold.targets.cacao_read import read_cacao, read_cacao_file
from snaphold.targets.cacao_values import pattern
from support.cacao_play import cacao_set
from support.cacao_walker import holds
from support.every_construct import everything
from support.needs import need_shared
from support.playbooks import read_trial, shipped, shipped_files

SHIPPED = [path.stem for path in shipped_files()]


def every_set() -> list[tuple[LoadedPlaybook, dict[str, LoadedPlaybook]]]:
    return [everything(), *((shipped(name), load_parts(shipped(name))) for name in SHIPPED)]


def every_document() -> list[dict[str, Any]]:
    """Return every export once."""
    return list({id: made for loaded, parts in every_set() for id, made in cacao_set(loaded, parts).items()}.values())


def document() -> dict[str, Any]:
    loaded, parts = everything()
    return cacao_set(loaded, parts)[loaded.playbook.metadata.id]


@pytest.mark.parametrize("which", ["published", "repaired"])
def test_every_playbook_is_valid_by_the_schemas(which: str) -> None:
    path = need_shared("tools/cacao/validate.py")
    spec = importlib.util.spec_from_file_location("cacao_validate", path)
    assert spec
    assert spec.loader
    validate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(validate)
    validator = validate.load_validator(which)
    for made in every_document():
        assert validate.problems(validator, made) == [], made["name"]


def test_every_condition_is_a_stix_pattern() -> None:
    validator = pytest.importorskip("stix2patterns.validator")
    found = {step["condition"] for made in every_document() for step in made["workflow"].values() if "condition" in step}
    for condition in found:
        assert validator.validate(condition), condition
        assert is_pattern(condition), condition


def test_no_playbook_has_a_fault_that_the_schemas_let_pass() -> None:
    for made in every_document():
        assert lint_cacao(made) == [], made["name"]


def test_reading_the_export_back_gives_the_same_model() -> None:
    for loaded, parts in every_set():
        made = cacao_set(loaded, parts)
        for one in [loaded, *parts.values()]:
            assert read_cacao(made[one.playbook.metadata.id]) == one.playbook


def test_reading_back_reads_a_file_too(tmp_path: Path) -> None:
    loaded, parts = everything()
    path = tmp_path / "everything.json"
    path.write_bytes(compile_cacao(loaded, parts).files["everything.json"])
    assert read_cacao_file(path) == loaded.playbook


def test_a_playbook_of_others_is_refused() -> None:
    with pytest.raises(InputError, match="was not exported by Snaphold"):
        read_cacao({"type": "playbook", "spec_version": "cacao-2.0"})


def test_an_export_that_lost_a_source_step_is_refused() -> None:
    made = document()
    for step in made["workflow"].values():
        for extension in step.get("step_extensions", {}).values():
            if extension.get("step", {}).get("id") == "inner":
                del extension["step"]
    with pytest.raises(PlaybookError, match="cannot be read back"):
        read_cacao(made)


def test_a_broken_export_is_refused() -> None:
    made = document()
    made["workflow_start"] = "start--00000000-0000-4000-8000-000000000000"
    with pytest.raises(PlaybookError, match="is broken"):
        read_cacao(made)


def test_version_change_record_and_digest_stand_in_the_export() -> None:
    loaded, _ = everything()
    made = document()
    for text in ("version 2.3.4", "change record CHG0000042", f"sha256 {loaded.digest}"):
        assert text in made["labels"]
    assert made["created"] == "2026-11-01T00:00:00.000Z"
    assert made["modified"] == "2026-11-22T00:00:00.000Z"
    assert made["severity"] == 70


def test_a_later_version_is_later_also_without_dates() -> None:
    def modified(version: str) -> str:
        body = "steps:\n  - {id: a, do: report.summary}\n"
        loaded = read_trial(body)
        metadata = loaded.playbook.metadata.model_copy(update={"version": version})
        changed = LoadedPlaybook(
            loaded.playbook.model_copy(update={"metadata": metadata}), loaded.document, "0" * 64, loaded.path
        )
        return cacao_document(changed, {}, catalogue())[0]["modified"]

    versions = ["0.9.9", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0"]
    assert sorted(versions, key=modified) == versions


def test_what_is_lost_is_listed_with_its_place_in_the_order_of_the_file() -> None:
    loaded, parts = everything()
    losses = compile_cacao(loaded, parts).losses
    assert [(loss.construct, loss.place) for loss in losses] == [
        ("retry", "everything.yaml:34:12"),
        ("condition", "everything.yaml:36:5"),
        ("at_once", "everything.yaml:78:14"),
    ]


def test_an_action_calls_the_service_with_token_key_and_justification() -> None:
    loaded, parts = everything()
    made = cacao_set(loaded, parts)[parts["asset-job"].playbook.metadata.id]
    (start,) = [step for step in made["workflow"].values() if step.get("name") == "Back up"]
    (command,) = start["commands"]
    assert command["command"] == "POST /v1/actions/backup.start HTTP/1.1"
    assert command["headers"] == {
        "Authorization": ["Bearer __SNAPHOLD_TOKEN__:value"],
        "Content-Type": ["application/json"],
        "Idempotency-Key": [
            "__SNAPHOLD_INCIDENT_ID__:value/__SNAPHOLD_PATH-asset-job__:value.start/__inputs-asset__:value/"
            "__SNAPHOLD_GENERATION__:value"
        ],
        "X-Snaphold-Justification": ["__SNAPHOLD_JUSTIFICATION__:value"],
    }
    assert command["content"] == '{"asset": "__inputs-asset__:value", "incident": __SNAPHOLD_INCIDENT__:value}'
    assert made["agent_definitions"][start["agent"]]["address"] == {"dname": ["__SNAPHOLD_GATEWAY__:value"]}


def test_no_secret_stands_in_an_export() -> None:
    assert "value" not in document()["playbook_variables"]["__SNAPHOLD_TOKEN__"]


def test_a_new_step_changes_no_other_id() -> None:
    one = "steps:\n  - {id: a, do: report.summary}\n  - {id: b, do: report.summary}\n"
    two = one.replace("  - {id: b", "  - {id: between, do: report.summary}\n  - {id: b")
    before, after = (set(cacao_document(read_trial(body), {}, catalogue())[0]["workflow"]) for body in (one, two))
    assert before < after


def test_a_stable_uuid_has_the_form_of_version_4() -> None:
    made = stable_uuid("playbook--x", "a", "b")
    assert made == stable_uuid("playbook--x", "a", "b") != stable_uuid("playbook--x", "ab", "")
    assert made[14] == "4"
    assert made[19] in "89ab"


CODE = """
import hashlib, sys
from snaphold.playbook.load import load_playbook, find_playbook, load_parts
from snaphold.targets.base import targets
loaded = load_playbook(find_playbook("ransomware-response"))
for name in ("cacao", "runbook"):
    output = targets()[name].compile(loaded, load_parts(loaded))
    for path, content in sorted(output.files.items()):
        print(path, hashlib.sha256(content).hexdigest())
    print(output.losses)
"""


@pytest.mark.slow
def test_other_folders_and_hash_seeds_give_the_same_bytes(tmp_path: Path) -> None:
    made = [
        subprocess.run(
            [sys.executable, "-c", CODE],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for folder, seed in ((tmp_path, "1"), (Path("/"), "4242"))
    ]
    assert "ransomware-response.json" in made[0]
    assert made[0] == made[1]


WORDS = st.sampled_from(["a", "b", "it's", 'a "b"', "back\\slash", "", "x y"])


@given(
    st.lists(st.tuples(st.sampled_from(["==", "!="]), WORDS), min_size=1, max_size=4), st.sampled_from([" and ", " or "]),
    st.lists(WORDS, min_size=4, max_size=4),
)  # fmt: skip
def test_a_pattern_holds_exactly_when_its_condition_does(
    comparisons: list[tuple[str, str]], joiner: str, found: list[str]
) -> None:
    from snaphold.playbook.condition import holds as holds_here
    from snaphold.playbook.condition import write_literal

    text = joiner.join(f"$s.f{n} {operator} {write_literal(word)}" for n, (operator, word) in enumerate(comparisons))
    made = pattern(text, lambda reference: f"__{reference.scope}-{reference.field}__")
    assert is_pattern(made)
    values = {f"f{n}": value for n, value in enumerate(found)}
    there = {f"__s-{name}__": value for name, value in values.items()}
    assert holds(made, there) == holds_here(text, {"s": values})


def test_an_export_is_json_with_sorted_keys_and_a_last_line_end() -> None:
    content = compile_cacao(*everything()).files["everything.json"].decode()
    assert content == json.dumps(json.loads(content), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
