"""The generated page of what each vendor's system can do."""

from __future__ import annotations

import re
from pathlib import Path

from snaphold.config import Integration
from snaphold.platforms.registry import describe_platforms, platform_names
from snaphold.providers.registry import describe_products
from snaphold.targets.support import support_reference
from support.backup_site import ENGINES, make_site
from support.golden import ROOT, Golden


def test_the_reference_of_support_is_up_to_date(golden: Golden, tmp_path: Path) -> None:
    engines = [make_site(tmp_path / name, name, fresh=True).provider().describe() for name in ENGINES]
    engines += describe_products()
    golden.check("docs/reference/support.md", support_reference(engines, describe_platforms()))


def test_the_how_to_of_each_platform_shows_a_configuration_that_is_valid() -> None:
    import yaml

    for name in platform_names():
        text = (ROOT / f"docs/how-to/connect-{name}.md").read_text(encoding="utf-8")
        (block,) = re.findall(r"```yaml\n(integrations:.*?)```", text, re.DOTALL)
        for document in yaml.safe_load(block)["integrations"]:
            assert Integration.model_validate(document).kind == name
