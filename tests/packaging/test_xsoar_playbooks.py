"""Compiled playbooks hold to all that the SDK does not check: targets, arguments, defaults, error paths, places."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from snaphold.errors import InputError, PlaybookError
from snaphold.playbook.load import read_playbook
from snaphold.soar import xsoar_names as names
from snaphold.targets import xsoar
from snaphold.targets.xsoar import compile_xsoar
from support.every_construct import everything
from support.xsoar_builds import playbooks
from support.xsoar_walker import load
from xsoar_integration import commands

WIDE, HIGH = 400, 110
BY_SERVER = {"retry-count", "retry-interval", "execution-timeout"}


@cache
def every_playbook() -> dict[str, Mapping[str, Any]]:
    loaded, parts = everything()
    found = dict(playbooks())
    for one in (loaded, *parts.values()):
        for name, content in compile_xsoar(one, parts).files.items():
            if name.endswith(".yml"):
                found[name] = load(content)
    return found


NAMES = sorted(every_playbook())


@pytest.fixture(params=NAMES)
def playbook(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    return every_playbook()[request.param]


def test_every_follower_exists_and_every_task_but_the_start_is_reached(playbook: Mapping[str, Any]) -> None:
    tasks = playbook["tasks"]
    followers = {number for task in tasks.values() for group in task.get("nexttasks", {}).values() for number in group}
    assert followers <= set(tasks)
    assert set(tasks) - followers == {playbook["starttaskid"]}


def test_ids_are_distinct_and_equal_where_they_must_be(playbook: Mapping[str, Any]) -> None:
    tasks = playbook["tasks"]
    assert all(number == task["id"] and number.isdigit() for number, task in tasks.items())
    uuids = [task["taskid"] for task in tasks.values()]
    assert len(set(uuids)) == len(uuids)
    assert all(task["task"]["id"] == task["taskid"] == str(uuid.UUID(task["taskid"])) for task in tasks.values())


def test_no_two_tasks_overlap_in_the_picture(playbook: Mapping[str, Any]) -> None:
    places = [json.loads(task["view"])["position"] for task in playbook["tasks"].values()]
    for one, other in itertools.combinations(places, 2):
        assert abs(one["x"] - other["x"]) >= WIDE or abs(one["y"] - other["y"]) >= HIGH, (one, other)


def test_every_condition_says_what_happens_otherwise(playbook: Mapping[str, Any]) -> None:
    for task in playbook["tasks"].values():
        if task["type"] == "condition":
            assert "#default#" in task["nexttasks"], task["task"]["name"]
            labels = {entry["label"] for entry in task.get("conditions", [])} | set(
                task.get("message", {}).get("replyOptions", [])
            )
            assert set(task["nexttasks"]) == labels | {"#default#"}
            # Other tools write labels without quotes, and then these words are booleans.
            assert not {label.lower() for label in labels} & {"yes", "no", "on", "off", "true", "false", "null", "~"}


def test_every_command_and_every_called_playbook_has_an_error_path(playbook: Mapping[str, Any]) -> None:
    for task in playbook["tasks"].values():
        if task["type"] in ("regular", "playbook"):
            assert task["continueonerror"] is True
            assert task["continueonerrortype"] == "errorPath"
            assert task["nexttasks"]["#error#"]
        else:
            assert "#error#" not in task.get("nexttasks", {})


def test_commands_exist_and_get_the_arguments_that_they_declare(playbook: Mapping[str, Any]) -> None:
    known = {command["name"]: {one["name"]: one for one in command["arguments"]} for command in commands()}
    for task in playbook["tasks"].values():
        brand, _, command = task["task"].get("script", "").partition("|||")
        if brand != names.BRAND:
            continue
        given = task.get("scriptarguments", {})
        declared = known[command]
        assert set(given) <= set(declared) | BY_SERVER, command
        assert {name for name, one in declared.items() if one.get("required")} <= set(given), command
        for name, value in given.items():
            if "predefined" in declared.get(name, {}) and "${" not in value.get("simple", "${"):
                assert value["simple"] in declared[name]["predefined"]


def test_called_playbooks_are_in_the_pack_and_get_the_inputs_that_they_declare(playbook: Mapping[str, Any]) -> None:
    known = {one["name"]: {given["key"]: given for given in one["inputs"]} for one in every_playbook().values()}
    for task in playbook["tasks"].values():
        if task["type"] == "playbook":
            declared = known[task["task"]["playbookName"]]
            assert set(task["scriptarguments"]) <= set(declared)
            needed = {key for key, one in declared.items() if one["required"] and not one["value"]}
            assert needed <= set(task["scriptarguments"])
            assert task["separatecontext"] is True


def test_no_playbook_reads_a_step_that_no_task_writes(playbook: Mapping[str, Any]) -> None:
    text = json.dumps(playbook["tasks"])
    written = {
        task["scriptarguments"]["step"]["simple"].rpartition("}")[2].rpartition(".")[2]
        for task in playbook["tasks"].values()
        if "step" in task.get("scriptarguments", {})
    }
    read = {part.partition('"')[0].partition(".")[0].partition("}")[0] for part in text.split(f"{names.STEP_PREFIX}.")[1:]}
    assert read <= written


def test_nothing_but_an_approval_in_snaphold_leads_past_a_gate(playbook: Mapping[str, Any]) -> None:
    tasks = playbook["tasks"]
    assert not any("message" in task for task in tasks.values()), "XSOAR's own questions do not tell who answers"
    decisions = [task for task in tasks.values() if task["task"]["name"] == "What was decided?"]
    waits = [task for task in tasks.values() if task["task"].get("script", "").endswith("|||snaphold-approval-wait")]
    assert len(decisions) == len(waits)
    for task in waits:
        assert int(task["scriptarguments"]["timeout_in_seconds"]["simple"]) > 600
        assert task["nexttasks"]["#error#"] != task["nexttasks"]["#none#"]
    for task in decisions:
        assert {"approved", "denied", "silent", "#default#"} == set(task["nexttasks"])
        goes_on = 2 if playbook["name"] == "Snaphold - Everything" else 0  # there, `continue` is written
        assert sum(ids == task["nexttasks"]["approved"] for ids in task["nexttasks"].values()) <= 1 + goes_on
        assert task["nexttasks"]["#default#"] != task["nexttasks"]["approved"]


def test_descriptions_end_with_a_period_and_name_version_change_and_digest(playbook: Mapping[str, Any]) -> None:
    assert all(one["description"].endswith(".") for one in [*playbook["inputs"], *playbook["outputs"], playbook])
    assert "change record CHG" in playbook["description"]
    assert len(playbook["description"].rpartition("sha256 ")[2].rstrip(".")) == 64


def test_outputs_stand_below_our_own_prefix(playbook: Mapping[str, Any]) -> None:
    assert all(one["contextPath"].split(".")[0] == "Snaphold" for one in playbook["outputs"])


def test_loss_reports_name_the_place() -> None:
    loaded, parts = everything()
    losses = compile_xsoar(loaded, parts).losses
    assert {loss.construct for loss in losses} == {"at_once", "retry", "for_each", "parallel", "if"}
    assert all(loss.place.startswith("everything.yaml:") and loss.what for loss in losses)


def test_compiling_twice_and_without_libyaml_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, parts = everything()
    first = compile_xsoar(loaded, parts).files
    monkeypatch.setattr(xsoar, "_DUMPER", yaml.SafeDumper)
    assert compile_xsoar(loaded, parts).files == first


def test_a_new_step_changes_no_other_task_id() -> None:
    loaded, parts = everything()
    text = loaded.text.replace(
        "  - {id: report, do: report.summary}\n", "  - {id: more, do: report.summary}\n  - {id: report, do: report.summary}\n"
    )
    assert text != loaded.text
    longer = read_playbook(text, loaded.path)
    before, after = (
        {task["taskid"] for task in load(next(iter(compile_xsoar(one, parts).files.values())))["tasks"].values()}
        for one in (loaded, longer)
    )
    assert before < after


HEAD = """apiVersion: snaphold/v1
kind: Playbook
metadata: {name: odd, id: playbook--22222222-2222-4222-8222-222222222222, version: "1.0.0", change_record: CHG1}
"""


def test_a_poll_by_an_action_that_tells_no_state_is_refused_with_its_place() -> None:
    steps = """steps:
  - id: start
    do: backup.start
    with: {asset: files-01}
    poll: {do: backup.check_health, until: $result.healthy == true, fail: $result.healthy == false, every: 5s, within: 1m}
"""
    with pytest.raises(PlaybookError, match=r"odd.yaml:8:\d+: backup.check_health tells no state"):
        compile_xsoar(read_playbook(HEAD + steps, Path("odd.yaml")), {})


def test_an_item_inside_other_text_is_refused() -> None:
    steps = """inputs: {list: {type: list, required: true}}
steps:
  - {id: each, call: odd, for_each: $inputs.list, with: {list: "x-$item"}}
"""
    with pytest.raises(InputError, match="XSOAR cannot put \\$item inside other text"):
        compile_xsoar(read_playbook(HEAD + steps, Path("odd.yaml")), {})


def test_text_of_the_source_is_never_read_as_a_path_of_the_context() -> None:
    steps = """steps:
  - {id: keep, do: hold.place, with: {reason: "see $${incident.labels}"}}
"""
    content = next(iter(compile_xsoar(read_playbook(HEAD + steps, Path("odd.yaml")), {}).files.values()))
    keep = next(task for task in load(content)["tasks"].values() if task["task"]["name"] == "keep")
    assert keep["scriptarguments"]["reason"]["simple"] == "see $ {incident.labels}"
