"""Compiling: all playbooks and parts once, two with one id refused, losses as a list that can be refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snaphold.errors import InputError, PlaybookError
from snaphold.playbook.load import LoadedPlaybook, read_playbook
from snaphold.targets.base import Loss, Output, Parts, Target, find_target, targets
from snaphold.targets.compile import LOSSES, compile_playbooks, refuse_losses
from support.every_construct import ASSET_JOB, everything


def one_file(loaded: LoadedPlaybook, parts: Parts) -> Output:
    return Output({f"{loaded.playbook.name}.txt": b"x"}, (Loss("retry", "a.yaml:1:2", "it is lost"),))


LOSSY = Target("lossy", "a target for tests", one_file)


def test_the_playbook_and_its_parts_are_compiled_once_each() -> None:
    compiled = compile_playbooks([everything(), everything()], [LOSSY])
    assert sorted(compiled.files) == [LOSSES, "lossy/asset-job.txt", "lossy/everything.txt"]
    assert [loss.playbook for loss in compiled.losses] == ["asset-job", "everything"]


def test_the_report_names_playbooks_and_losses() -> None:
    report = json.loads(compile_playbooks([everything()], [LOSSY]).files[LOSSES])
    assert [found["name"] for found in report["playbooks"]] == ["asset-job", "everything"]
    assert report["playbooks"][1]["change_record"] == "CHG0000042"
    assert report["losses"][0] == {
        "construct": "retry", "place": "a.yaml:1:2", "playbook": "asset-job", "target": "lossy", "what": "it is lost",
    }  # fmt: skip


def test_two_playbooks_with_one_id_are_refused() -> None:
    other = read_playbook(ASSET_JOB.replace("name: asset-job", "name: other-job"), Path("other-job.yaml"))
    with pytest.raises(PlaybookError) as caught:
        compile_playbooks([everything(), (other, {})], [LOSSY])
    (problem,) = caught.value.problems
    assert str(problem.location) == "other-job.yaml:5:7"
    assert "playbook--33333333-3333-4333-8333-333333333333 is used twice" in problem.message


def test_two_playbooks_with_one_name_are_refused() -> None:
    text = ASSET_JOB.replace("33333333-3333-4333", "44444444-4444-4444")
    with pytest.raises(PlaybookError, match="the name asset-job is used twice"):
        compile_playbooks([everything(), (read_playbook(text, Path("elsewhere/asset-job.yaml")), {})], [LOSSY])


def test_two_outputs_of_one_name_are_refused() -> None:
    same = Target("same", "", lambda loaded, parts: Output({"one.txt": loaded.digest.encode()}))
    with pytest.raises(InputError, match=r"same/one\.txt would be written twice"):
        compile_playbooks([everything()], [same])


def test_losses_are_refused_by_name_and_none_is_no_error() -> None:
    refuse_losses(())
    with pytest.raises(InputError, match=r"a\.yaml:1:2: lossy cannot express retry: it is lost"):
        refuse_losses(compile_playbooks([everything()], [LOSSY]).losses)


def test_the_targets_are_found_by_their_files() -> None:
    assert {"cacao", "runbook", "shuffle", "xsoar"} <= set(targets())
    with pytest.raises(InputError, match='did you mean "cacao"'):
        find_target("cacoa")


def test_compiling_the_shipped_playbooks_leaves_out_nothing() -> None:
    compiled = compile_playbooks([everything()], list(targets().values()))
    assert {path.partition("/")[0] for path in compiled.files} >= {"cacao", "runbook", "shuffle", "xsoar"}
