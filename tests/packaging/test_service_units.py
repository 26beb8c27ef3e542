"""The units and the container files of the service: parsed, held against their rules, and judged by systemd itself."""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from dockerfile_parse import DockerfileParser

from snaphold.cli.main import build_parser
from support.golden import ROOT
from support.needs import need_program

UNITS = sorted((ROOT / "packaging/systemd").glob("*.service"))
CONTAINER = ROOT / "packaging/container"
MOST_EXPOSED = 2.0
"""On systemd's scale of 0 (closed) to 10."""


def unit(path: Path) -> dict[str, list[str]]:
    """Return the section Service of a unit: every value of every key."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, mark, value = line.partition("=")
        if mark and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def command_is_known(words: list[str]) -> bool:
    """Return whether the real command line takes it; it ends the process when it does not."""
    parser: argparse.ArgumentParser = build_parser("*")
    return bool(vars(parser.parse_args(words)))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_is_hardened_and_its_command_exists(path: Path) -> None:
    told = unit(path)
    assert told["ProtectSystem"] == ["strict"]
    assert (told["NoNewPrivileges"], told["CapabilityBoundingSet"]) == (["yes"], [""])
    assert told["RestrictAddressFamilies"] == ["AF_INET AF_INET6 AF_UNIX"]
    assert (told["User"], told["StateDirectory"]) == (["snaphold"], ["snaphold"])
    assert told["KillMode"] == ["process"], "a restart would end the backups that are at work"
    program, *words = told["ExecStart"][0].split()
    assert program.endswith("/bin/snaphold")
    assert command_is_known(words)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_finds_no_fault_in_a_unit_and_little_exposure(path: Path, tmp_path: Path) -> None:
    analyze = need_program("systemd-analyze")
    name = path.name.replace("@", "@1") if "@" in path.name else path.name
    copy = tmp_path / name
    copy.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", path.read_text(encoding="utf-8")))
    verified = subprocess.run(
        [analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=240, check=False
    )
    about = [line for line in verified.stderr.splitlines() if copy.name in line]
    assert about == []
    judged = subprocess.run(
        [analyze, "security", "--offline=yes", "--json=short", f"--threshold={int(MOST_EXPOSED * 10)}", str(copy)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout[-3000:] + judged.stderr
    assert json.loads(judged.stdout)


def test_the_image_runs_as_nobody_special_from_a_base_that_can_be_pinned() -> None:
    parser = DockerfileParser(fileobj=cast("Any", io.BytesIO((CONTAINER / "Containerfile").read_bytes())))
    steps: Any = parser.structure
    told = [(step["instruction"], step["value"]) for step in steps if step["instruction"] != "COMMENT"]
    assert told[0][0] == "ARG"
    assert re.fullmatch(r"BASE=\S+:\d+\.\d+\.\d+-\S+", told[0][1])
    assert [value for name, value in told if name == "FROM"] == ["${BASE} AS build", "${BASE}"]
    names = [name for name, _ in told]
    assert [value for name, value in told if name == "USER"] == ["10001:10001"]
    assert names.index("USER") < names.index("ENTRYPOINT") < names.index("CMD")
    (command,) = [json.loads(value) for name, value in told if name == "CMD"]
    assert command_is_known(command)
    assert "HEALTHCHECK" in names
    for name, value in told:
        if name == "COPY" and "--from" not in value and "*" not in value:
            assert (ROOT / value.split()[0]).exists(), value


def test_the_compose_file_has_two_workers_and_secrets_only_as_files() -> None:
    told: Any = yaml.safe_load((CONTAINER / "compose.yaml").read_text(encoding="utf-8"))
    services, secrets = told["services"], told["secrets"]
    assert services["worker"]["deploy"]["replicas"] == 2
    assert command_is_known(services["worker"]["command"])
    assert all(set(one) == {"file"} for one in secrets.values())
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert "no-new-privileges:true" in service["security_opt"]
        assert set(service["secrets"]) <= set(secrets)
        assert set(service["networks"]) <= set(told["networks"])
        assert not [one for one in service.get("environment", {}) if "PASSWORD" in one and not one.endswith("_FILE")]
    assert services["service"]["ports"][0].startswith("${SNAPHOLD_PUBLISH:-127.0.0.1:")
    assert services["database"]["networks"] == ["inside"]
    assert told["networks"]["inside"] == {"internal": True}
