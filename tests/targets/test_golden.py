"""What every shipped playbook compiles to, kept so that a change of an exporter is seen in review."""

from __future__ import annotations

import pytest

from snaphold.playbook.load import load_parts
from snaphold.targets.base import targets
from support.golden import Golden
from support.playbooks import shipped, shipped_files

SHIPPED = [path.stem for path in shipped_files()]


@pytest.mark.parametrize("target", ["cacao", "runbook"])
@pytest.mark.parametrize("name", SHIPPED)
def test_the_golden_files_are_up_to_date(name: str, target: str, golden: Golden) -> None:
    loaded = shipped(name)
    output = targets()[target].compile(loaded, load_parts(loaded))
    assert output.files
    for path, content in output.files.items():
        golden.check(f"tests/golden/{target}/{path}", content.decode())
