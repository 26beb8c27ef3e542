"""Reads back a playbook that was exported to CACAO, from the source that the exporter puts beside its steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from snaphold.documents import load_document
from snaphold.errors import InputError, PlaybookError, Problem
from snaphold.playbook.model import Playbook
from snaphold.targets.cacao_lint import lint_cacao
from snaphold.targets.cacao_steps import STEP
from snaphold.targets.cacao_workflow import EXTENSION

_NESTED = ("then", "else", "default")


def read_cacao_file(path: Path) -> Playbook:
    """Return the playbook in a file of CACAO JSON. Raises InputError, PlaybookError."""
    document = load_document(path, "CACAO playbook").data
    if not isinstance(document, dict):
        raise InputError(f"{path} is no CACAO playbook")
    return read_cacao(cast("dict[str, Any]", document))


def read_cacao(document: Mapping[str, Any]) -> Playbook:
    """Return the playbook that a CACAO document was made from, equal to the one that was compiled.

    Raises InputError when it was not made by Snaphold, PlaybookError when it is broken.
    """
    source: Mapping[str, Any] | None = document.get("playbook_extensions", {}).get(EXTENSION)
    if document.get("spec_version") != "cacao-2.0" or source is None:
        raise InputError(
            "this CACAO playbook was not exported by Snaphold",
            "it does not hold the source",
            "write a Snaphold playbook, and export that",
        )
    problems = lint_cacao(document)
    if problems:
        raise PlaybookError("the CACAO playbook is broken", problems)
    steps: dict[str, Any] = {}
    for step in document["workflow"].values():
        found = step.get("step_extensions", {}).get(EXTENSION, {}).get(STEP)
        if found:
            steps[found["id"]] = found
    try:
        plain = {**source, "steps": _expand(source["steps"], steps)}
        return Playbook.model_validate(plain)
    except (KeyError, ValidationError) as error:
        raise PlaybookError("the CACAO playbook cannot be read back", [Problem(f"its source is incomplete: {error}")]) from error


def _expand(ids: list[str], steps: Mapping[str, Any]) -> list[Any]:
    """Return steps in full for their ids, inside blocks too. Raises KeyError for one that is not there."""
    found: list[Any] = []
    for id in ids:
        step = dict(steps[id])
        for key in _NESTED:
            if key in step:
                step[key] = _expand(step[key], steps)
        if "cases" in step:
            step["cases"] = {key: _expand(inner, steps) for key, inner in step["cases"].items()}
        if "parallel" in step:
            step["parallel"] = [_expand(inner, steps) for inner in step["parallel"]]
        found.append(step)
    return found
