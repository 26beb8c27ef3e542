"""The generated page of backup engines."""

from __future__ import annotations

from pathlib import Path

from snaphold.targets.providers import providers_reference
from support.backup_site import ENGINES, make_site
from support.golden import Golden


def test_the_reference_of_backup_engines_is_up_to_date(golden: Golden, tmp_path: Path) -> None:
    described = [make_site(tmp_path / name, name, fresh=True).provider().describe() for name in ENGINES]
    golden.check("docs/reference/providers.md", providers_reference(described))
