"""The compiled workflows as documents: schema, gating, ids, places, escaped text, what is refused, and the losses."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from snaphold.action import catalogue
from snaphold.errors import PlaybookError
from snaphold.playbook.load import LoadedPlaybook, load_parts, load_playbook, playbook_files, read_playbook
from snaphold.resources import folder
from snaphold.soar.shuffle_names import METHODS, method_name
from snaphold.targets.base import Output, find_target
from snaphold.targets.shuffle import compile_shuffle
from support.every_construct import ASSET_JOB, EVERYTHING
from support.needs import need_shared

ALL = playbook_files(folder("playbooks"))
HEAD = """apiVersion: snaphold/v1
kind: Playbook
metadata:
  name: small
  id: playbook--44444444-4444-4444-8444-444444444444
  version: "1.0.0"
  change_record: CHG0000042
"""


def small(rest: str) -> LoadedPlaybook:
    return read_playbook(HEAD + rest, Path("small.yaml"))


def everything() -> tuple[LoadedPlaybook, dict[str, LoadedPlaybook]]:
    loaded = read_playbook(EVERYTHING, Path("everything.yaml"))
    return loaded, {"asset-job": read_playbook(ASSET_JOB, Path("asset-job.yaml"))}


def documents(output: Output) -> list[dict[str, Any]]:
    return [json.loads(content) for content in output.files.values()]


def outputs() -> list[tuple[str, Output]]:
    """Return every shipped playbook and the one with every construct, compiled."""
    found = [(path.stem, compile_shuffle(load_playbook(path), load_parts(load_playbook(path)))) for path in ALL]
    return [*found, ("everything", compile_shuffle(*everything()))]


OUTPUTS = dict(outputs())
every = pytest.mark.parametrize("name", OUTPUTS)


@every
def test_every_workflow_fits_the_schema(name: str) -> None:
    check = Draft202012Validator(json.loads(need_shared("tools/shuffle/wf.schema.json").read_text()))
    for document in documents(OUTPUTS[name]):
        assert [error.message for error in check.iter_errors(document)] == []


@every
def test_branches_know_only_positive_equals_and_are_gated_on_success(name: str) -> None:
    for document in documents(OUTPUTS[name]):
        hooks = {trigger["id"] for trigger in document["triggers"] if trigger["trigger_type"] == "WEBHOOK"}
        labels = {node["id"]: node["label"] for node in [*document["actions"], *document["triggers"]]}
        for branch in document["branches"]:
            assert {branch["source_id"], branch["destination_id"]} <= set(labels)
            if branch["source_id"] in hooks:
                assert branch["conditions"] == []
                continue
            tests = {one["source"]["value"]: one["destination"]["value"] for one in branch["conditions"]}
            assert {one["condition"]["value"] for one in branch["conditions"]} == {"equals"}
            assert not any(one["condition"]["configuration"] for one in branch["conditions"])
            gate = tests[f"${labels[branch['source_id']]}.success"]
            assert gate == "true" or (gate == "false" and len(tests) == 1)


@every
def test_labels_ids_and_values_are_what_shuffle_takes(name: str) -> None:
    seen: set[str] = set()
    for document in documents(OUTPUTS[name]):
        nodes = [*document["actions"], *document["triggers"]]
        labels = [node["label"].lower() for node in nodes]
        assert len(labels) == len(set(labels)), "references find a node by its label, in any case"
        assert all(re.fullmatch(r"[A-Za-z0-9_@-]+", label) for label in labels)
        ids = [document["id"], *(node["id"] for node in nodes), *(branch["id"] for branch in document["branches"])]
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        seen |= set(ids)
        assert {uuid.UUID(id).version for id in ids} == {4}
        assert document["start"] in {action["id"] for action in document["actions"]}
        assert [action["isStartNode"] for action in document["actions"]].count(True) == 1
        for node in nodes:
            assert node["parameters"], "an action without parameters has no time limit, and its exceptions fail"
            assert all(isinstance(one["value"], str) and isinstance(one["schema"], dict) for one in node["parameters"])
        known = {method_name(action) for action in catalogue()} | {method.name for method in METHODS}
        assert {action["name"] for action in document["actions"]} <= known


@every
def test_parameters_of_triggers_stand_in_the_order_of_the_user_interface(name: str) -> None:
    order = {
        "WEBHOOK": ["url", "tmp", "auth_headers", "custom_response_body", "await_response"],
        "SUBFLOW": ["workflow", "argument", "user_apikey", "startnode", "check_result", "auth_override"],
    }
    for document in documents(OUTPUTS[name]):
        for trigger in document["triggers"]:
            assert [one["name"] for one in trigger["parameters"]] == order[trigger["trigger_type"]]


@every
def test_no_two_nodes_cover_each_other(name: str) -> None:
    for document in documents(OUTPUTS[name]):
        places = [(n["position"]["x"], n["position"]["y"]) for n in [*document["actions"], *document["triggers"]]]
        for index, (x, y) in enumerate(places):
            for other_x, other_y in places[index + 1 :]:
                assert abs(x - other_x) >= 100 or abs(y - other_y) >= 70, (name, x, y)


@every
def test_version_change_record_and_digest_are_in_every_workflow(name: str) -> None:
    for document in documents(OUTPUTS[name]):
        tags = dict(tag.partition(":")[::2] for tag in document["tags"])
        assert re.fullmatch(r"\d+\.\d+\.\d+", tags["snaphold-version"])
        assert tags["snaphold-change"].startswith("CHG")
        assert re.fullmatch(r"[0-9a-f]{64}", tags["snaphold-sha256"])
        assert tags["snaphold-id"] == document["id"]
        assert tags["snaphold-sha256"] in document["description"]


@every
def test_every_reference_names_a_node_that_exists(name: str) -> None:
    """Shuffle replaces a reference that leads nowhere by nothing, without a word."""
    for document in documents(OUTPUTS[name]):
        nodes = [*document["actions"], *document["triggers"]]
        labels = {node["label"] for node in nodes} | {"exec"}
        for node in nodes:
            for one in node["parameters"]:
                for found in re.findall(r"(?<!\\)\$([A-Za-z0-9_@-]+)", one["value"]):
                    assert found in labels, (node["label"], one["value"])


@every
def test_every_wait_ends_the_pass_and_starts_the_next(name: str) -> None:
    for document in documents(OUTPUTS[name]):
        labels = {node["id"]: node["label"] for node in [*document["actions"], *document["triggers"]]}
        ways = {(labels[b["source_id"]], labels[b["destination_id"]], b["label"]) for b in document["branches"]}
        for action in document["actions"]:
            names = {one["name"] for one in action["parameters"]}
            if "snaphold_run" in names or action["name"] in ("call_playbook", "approval_state"):
                assert (action["label"], "again", "waiting") in ways


def test_a_second_compilation_gives_the_same_bytes() -> None:
    assert dict(compile_shuffle(*everything()).files) == dict(OUTPUTS["everything"].files)


def test_the_target_is_found_by_name() -> None:
    assert find_target("shuffle").compile is compile_shuffle


def test_a_new_step_changes_no_other_id() -> None:
    one = small("steps:\n  - {id: a, do: report.summary}\n")
    two = small("steps:\n  - {id: b, do: report.summary}\n  - {id: a, do: report.summary}\n")
    ids = [
        {node["label"]: node["id"] for document in documents(compile_shuffle(p, {})) for node in document["actions"]}
        for p in (one, two)
    ]
    assert ids[0].items() <= ids[1].items()


def test_a_dollar_of_the_text_is_escaped_and_a_reference_ends_where_it_ends() -> None:
    loaded = small(
        "inputs:\n  who: {type: string, required: true}\n"
        'steps:\n  - {id: a, do: hold.place, with: {reason: "$$5 for $inputs.who. Then $inputs.who@corp"}}\n'
    )
    (document,) = documents(compile_shuffle(loaded, {}))
    (action,) = [node for node in document["actions"] if node["label"] == "a"]
    values = {one["name"]: one["value"] for one in action["parameters"]}
    assert values["reason"] == "\\$5 for $inputs.who^_^. Then $inputs.who^_^@corp"


@pytest.mark.parametrize("name", ["success", "way", "run", "pass"])
def test_an_input_with_a_name_of_the_answers_is_refused_with_its_place(name: str) -> None:
    loaded = small(f"inputs:\n  {name}: {{type: string, default: x}}\nsteps:\n  - {{id: a, do: report.summary}}\n")
    with pytest.raises(PlaybookError, match="no input can be called") as caught:
        compile_shuffle(loaded, {})
    assert "small.yaml:9" in str(caught.value)


def test_item_inside_other_text_is_refused() -> None:
    loaded = small(
        "inputs:\n  all: {type: list, required: true}\n"
        'steps:\n  - {id: a, call: asset-job, for_each: $inputs.all, with: {asset: "x-$item", assets: $inputs.all}}\n'
    )
    with pytest.raises(PlaybookError, match=r"\$item is handed on as it is"):
        compile_shuffle(loaded, everything()[1])


def test_the_losses_are_named_with_their_places_and_a_gate_keeps_identity_quorum_and_grant() -> None:
    told = {(loss.construct, loss.what) for loss in OUTPUTS["everything"].losses}
    constructs = {construct for construct, _ in told}
    assert constructs == {"approve", "timeout", "retry", "call", "parallel", "continue"}
    assert all("told" in what for construct, what in told if construct == "approve")
    assert all(re.match(r"everything\.yaml:\d+:\d+", loss.place) for loss in OUTPUTS["everything"].losses)


def test_only_a_playbook_that_can_begin_by_itself_has_a_webhook_and_its_header_is_never_empty() -> None:
    for name, output in OUTPUTS.items():
        hooks = [t for d in documents(output) for t in d["triggers"] if t["trigger_type"] == "WEBHOOK"]
        assert not (hooks and (folder("playbooks") / "parts" / f"{name}.yaml").exists())
        for hook in hooks:
            values = {one["name"]: one["value"] for one in hook["parameters"]}
            assert values["auth_headers"] == "X-Snaphold-Webhook: CHANGE-ME"
