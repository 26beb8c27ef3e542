"""Every how-to that connects a system: its configuration passes the check, and says who answers for it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from snaphold.cli.main import main
from snaphold.platforms.registry import platform_names
from snaphold.providers.registry import product_names
from support.golden import ROOT

PAGES = sorted((ROOT / "docs/how-to").glob("connect-*.md"))
ESTATE: dict[str, Any] = {
    "version": 1,
    "organisation": {"name": "Example Ltd"},
    "tiers": [{"id": "T0", "level": 0, "impact": "No orders.", "rto": "1h", "rpo": "15m"}],
    "assets": [{"id": "orders-db", "kind": "virtual-machine", "tier": "T0", "owner": "team-orders"}],
}


def documented(page: Path) -> dict[str, Any]:
    """Return the configuration that a page shows first."""
    (block,) = re.findall(r"```yaml\n(integrations:.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return yaml.safe_load(block)


def test_every_system_that_can_be_connected_has_a_page() -> None:
    kinds = {item["kind"] for page in PAGES for item in documented(page)["integrations"]}
    assert kinds == {*product_names(), *platform_names()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_configuration_of_the_page_passes_the_check(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = documented(page)
    pools = shown.get("pools", [])
    routes = [{"tiers": ["T0"], "primary": pools[0]["name"]}] if pools else []
    path = tmp_path / "snaphold.yaml"
    path.write_text(json.dumps({**ESTATE, **shown, "routes": routes}), encoding="utf-8")
    for integration in shown["integrations"]:
        for reference in integration.get("credentials", {}).values():
            monkeypatch.setenv(reference.removeprefix("env:"), "set")
        if "ca_file" in integration:
            (tmp_path / integration["ca_file"]).parent.mkdir(exist_ok=True)
            (tmp_path / integration["ca_file"]).touch()
    assert main(["config", "check", "--config", str(path), "--json"]) == 3
    findings = json.loads(capsys.readouterr().out)["findings"]
    about = [item for item in findings if item["part"] in {"integrations", "pools", *(["assets"] if pools else [])}]
    assert [item["text"] for item in about if "is not isolated" not in item["text"]] == []
