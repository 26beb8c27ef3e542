"""The linter: everything that can be known to be wrong with a playbook before it runs, each with file:line:column.

The form comes first (`structure`); a playbook of the wrong form is not looked at further. Then the meaning: shape,
references and conditions, actions, calls, gates. The linter knows no state: the same files give the same findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from snaphold.action import AnyAction, catalogue
from snaphold.config import Configuration
from snaphold.errors import DocumentError, PlaybookError, Problem, SnapholdError
from snaphold.playbook.findings import ERROR, Subject
from snaphold.playbook.lint_actions import lint_actions
from snaphold.playbook.lint_branches import lint_branches
from snaphold.playbook.lint_calls import lint_calls
from snaphold.playbook.lint_expressions import lint_expressions
from snaphold.playbook.lint_gates import lint_gates
from snaphold.playbook.lint_shape import lint_shape, lint_unused
from snaphold.playbook.load import LoadedPlaybook, find_playbook, load_parts, load_playbook
from snaphold.playbook.scope import build_scope

Finder = Callable[[str], LoadedPlaybook]
CHECKS = (lint_shape, lint_expressions, lint_branches, lint_actions, lint_calls, lint_gates, lint_unused)


def lint_playbook(
    loaded: LoadedPlaybook,
    configuration: Configuration | None = None,
    *,
    actions: Mapping[str, AnyAction] | None = None,
    find: Finder | None = None,
) -> list[Problem]:
    """Return every fault of meaning of one playbook, in the order of the file; called ones are only looked at.

    With a configuration, approvers and roles are looked up too. `find` gives a called playbook.
    """
    subject = Subject(
        loaded=loaded,
        actions=catalogue() if actions is None else actions,
        find=find or _finder(loaded.path, configuration),
        configuration=configuration,
        scope=build_scope(loaded.playbook),
    )
    for check in CHECKS:
        check(subject)
    return in_order(subject.findings)


def lint_file(
    path: Path,
    configuration: Configuration | None = None,
    *,
    actions: Mapping[str, AnyAction] | None = None,
    find: Finder | None = None,
) -> list[Problem]:
    """Return every fault of a playbook file, of form or of meaning. Raises InputError when it cannot be read at all."""
    try:
        loaded = load_playbook(path)
    except DocumentError as error:
        return in_order(error.problems)
    return lint_playbook(loaded, configuration, actions=actions, find=find)


def load_checked(
    name_or_path: str, configuration: Configuration | None = None, *, actions: Mapping[str, AnyAction] | None = None
) -> tuple[LoadedPlaybook, dict[str, LoadedPlaybook]]:
    """Return a playbook and every playbook that it calls, by name, all without errors; warnings are let pass.

    This is what a run starts from. Raises PlaybookError with every error of all of them, or InputError.
    """
    loaded = load_playbook(find_playbook(name_or_path, configuration))
    problems = lint_playbook(loaded, configuration, actions=actions)
    parts: dict[str, LoadedPlaybook] = {}
    try:
        parts = load_parts(loaded, configuration)
    except SnapholdError:
        if not errors_in(problems):
            raise
    for part in parts.values():
        problems += lint_playbook(part, configuration, actions=actions)
    if errors_in(problems):
        raise PlaybookError(
            f"the playbook {loaded.playbook.name} has faults", errors_in(problems), f"snaphold playbook lint {name_or_path}"
        )
    return loaded, parts


def errors_in(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems that are errors, without the warnings."""
    return [problem for problem in problems if problem.severity == ERROR]


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems in the order of the file, each once; those without a place come first."""

    def place(problem: Problem) -> tuple[str, int, int]:
        at = problem.location
        return (at.path, at.line, at.column) if at else ("", 0, 0)

    return sorted(dict.fromkeys(problems), key=place)


def _finder(path: Path, configuration: Configuration | None) -> Finder:
    @cache
    def find(name: str) -> LoadedPlaybook:
        return load_playbook(find_playbook(name, configuration, beside=path))

    return find
