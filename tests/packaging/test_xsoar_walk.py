"""The compiled XSOAR playbook and the local runner do the same in the same world: every action, input and ending."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from snaphold.playbook.load import LoadedPlaybook, load_parts, load_playbook, playbook_files
from support.cacao_play import given_inputs, make_script
from support.every_construct import everything
from support.scripted_world import Script
from support.xsoar_builds import ROOT
from support.xsoar_play import as_text, run_here, walk_there

SHIPPED = playbook_files(ROOT / "playbooks")
CHOICES = {"content": "full", "storage": "routed"}
"""Inputs that take one of a few words."""
FEW, MANY = 3, 20


def walk_in(loaded: LoadedPlaybook, parts: Mapping[str, LoadedPlaybook], script: Script, given: Mapping[str, Any]) -> Any:
    return walk_there(loaded, parts, script, given, lambda who, _title: script.decision(who))


def compare(loaded: LoadedPlaybook, parts: Mapping[str, LoadedPlaybook], seeds: range) -> set[str]:
    """Compare both ways in every world of the seeds and return how they ended."""
    given = given_inputs(loaded)
    given |= {name: value for name, value in CHOICES.items() if name in given}
    endings: set[str] = set()
    for seed in seeds:
        calls, ending, places = run_here(loaded, parts, make_script(loaded, parts, seed), given)
        walked, ended, commands = walk_in(loaded, parts, make_script(loaded, parts, seed), given)
        assert as_text(walked) == as_text(calls), f"seed {seed}: {commands.texts}"
        assert ended == ending, f"seed {seed}: {commands.texts}"
        # The same place in the keys, so that a second run finds what the first one did, wherever either ran.
        assert [key.split("/")[1] for key in commands.keys] == [f"{loaded.playbook.name}.{place}" for place in places]
        endings.add(ended)
    return endings


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_playbook_does_on_xsoar_what_the_runner_does(path: Path) -> None:
    loaded = load_playbook(path)
    compare(loaded, load_parts(loaded), range(FEW))


def test_every_construct_does_on_xsoar_what_the_runner_does() -> None:
    assert compare(*everything(), range(12))


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_playbook_agrees_in_many_worlds(path: Path) -> None:
    loaded = load_playbook(path)
    assert compare(loaded, load_parts(loaded), range(FEW, MANY))


@pytest.mark.slow
def test_every_construct_agrees_in_many_worlds_and_comes_to_every_ending() -> None:
    assert compare(*everything(), range(12, 150)) == {"done", "failed", "stopped"}
