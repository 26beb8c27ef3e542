"""Short ways to a linted playbook for tests."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from snaphold.action import AnyAction
from snaphold.config import Configuration
from snaphold.errors import Problem
from snaphold.playbook.lint import lint_playbook
from snaphold.playbook.load import LoadedPlaybook, find_playbook, load_playbook, playbook_files, read_playbook
from snaphold.resources import folder
from support.playbook_actions import playbook_actions

HEAD = """apiVersion: snaphold/v1
kind: Playbook
metadata:
  name: trial
  id: playbook--11111111-1111-4111-8111-111111111111
  version: "1.0.0"
  change_record: CHG1
"""


@cache
def known_actions() -> Mapping[str, AnyAction]:
    """Return the catalogue for tests, made once."""
    return playbook_actions()


def shipped_files() -> list[Path]:
    """Return every shipped playbook, parts included."""
    return playbook_files(folder("playbooks"))


@cache
def shipped(name: str) -> LoadedPlaybook:
    """Return a shipped playbook by name. Raises InputError when there is none."""
    return load_playbook(find_playbook(name))


def read_trial(body: str, head: str = HEAD) -> LoadedPlaybook:
    """Return a playbook called trial whose text ends with `body`."""
    return read_playbook(head + body, Path("trial.yaml"))


def lint_trial(body: str, configuration: Configuration | None = None) -> list[Problem]:
    """Return what the linter finds in a playbook called trial."""
    return lint_playbook(read_trial(body), configuration, actions=known_actions(), find=shipped)
