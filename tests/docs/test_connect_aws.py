"""The how-to of AWS: its configuration is valid, and its policies allow exactly the calls that the adapters make."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from snaphold.config import Integration, Pool
from snaphold.providers.aws_backup_verbs import CAPABILITIES as BACKUP
from snaphold.providers.aws_ebs_verbs import CAPABILITIES as EBS
from snaphold.providers.aws_models import shared_loader
from support.golden import ROOT

PAGE = (ROOT / "docs/how-to/connect-aws.md").read_text(encoding="utf-8")
ADAPTERS = ROOT / "integrations/snaphold/providers"
LEFT_OUT = {"ec2:DeleteSnapshot", "backup:DeleteRecoveryPoint"}
CALL = re.compile(r"\.(?:read|write|write_once|pages)\(\s*\"([a-z_]+)\"")
DRY_RUN = re.compile(r"^        \"([a-z_]+)\": \{", re.MULTILINE)
LISTED = re.compile(r"\(\"(list_[a-z_]+)\", \"[A-Za-z]+\"\)")
PERMISSIONS_ONLY = {"iam:PassRole", "sts:AssumeRole"}


def allowed() -> set[str]:
    policies = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    assert len(policies) == 2
    return {action for policy in policies for statement in policy["Statement"] for action in statement["Action"]}


def operations(service: str) -> set[str]:
    model: Any = shared_loader().load_service_model(service, "service-2")
    return set(model["operations"])


def test_the_configuration_is_valid() -> None:
    (block,) = re.findall(r"```yaml\n(integrations:.*?)```", PAGE, re.DOTALL)
    document = yaml.safe_load(block)
    kinds = [Integration.model_validate(item).kind for item in document["integrations"]]
    assert kinds == ["aws_ebs", "aws_ebs", "aws_backup"]
    assert [Pool.model_validate(item).provider for item in document["pools"]] == ["aws_ebs", "aws_backup"]


def test_every_allowed_call_exists() -> None:
    for action in allowed() - PERMISSIONS_ONLY:
        service, _, operation = action.partition(":")
        assert operation in operations(service), action


def test_every_call_that_the_adapters_make_is_allowed_and_no_other() -> None:
    known = {service: operations(service) for service in ("ec2", "ssm", "sts", "backup")}
    made: set[str] = set()
    for path in sorted(ADAPTERS.glob("aws_*.py")):
        text = path.read_text(encoding="utf-8")
        service = "backup" if "aws_backup" in path.name else "ssm" if "vss" in path.name else "ec2"
        for name in {*CALL.findall(text), *DRY_RUN.findall(text), *LISTED.findall(text)}:
            operation = "".join(part.capitalize() for part in name.split("_"))
            where = service if operation in known[service] else "sts"
            assert operation in known[where], (path.name, name)
            made.add(f"{where}:{operation}")
    assert made - LEFT_OUT == allowed() - {"iam:PassRole"}
    assert made >= LEFT_OUT


def test_the_page_names_every_setting() -> None:
    from snaphold.providers import aws_account, aws_backup, aws_ebs_settings

    for name in {*aws_account._SETTINGS, *aws_backup._SETTINGS, *aws_ebs_settings._KNOWN}:
        assert f"`{name}`" in PAGE
    assert set(EBS) == set(BACKUP)
