"""Instances and their volumes: which instance an asset is, and what of it can be snapshotted."""

from __future__ import annotations

import re
from typing import cast

from snaphold.errors import ProviderError
from snaphold.providers.aws_errors import AwsError
from snaphold.providers.aws_session import AwsService, Members

_ID = re.compile(r"i-[0-9a-f]{8,17}")
_ALIVE = ("pending", "running", "stopping", "stopped")
_GIBIBYTE = 1024**3
_CORRECT = "correct protection.workloads of the asset: the instance's id, or its tag Name"


def find_instance(ec2: AwsService, asset: str, name: str) -> str:
    """Return the id of the instance called `name`. Raises ProviderError when there is none, or more than one."""
    if _ID.fullmatch(name):
        chosen: dict[str, object] = {"InstanceIds": [name]}
    else:
        # EC2 reads * and ? in a filter as wildcards; the names are compared below.
        chosen = {"Filters": [{"Name": "tag:Name", "Values": [name]}]}
    try:
        found = [item for item in _instances(ec2, chosen) if _ID.fullmatch(name) or _name_of(item) == name]
    except AwsError as error:
        if error.code.startswith("InvalidInstanceID"):
            found = []
        else:
            raise
    alive = [str(item["InstanceId"]) for item in found if item.get("State", {}).get("Name") in _ALIVE]
    if not alive:
        gone = ", ".join(f"{item['InstanceId']} is {item.get('State', {}).get('Name')}" for item in found)
        raise ProviderError(f"EC2 has no instance {name!r} (asset {asset})", gone or f"not in {ec2.region}", _CORRECT)
    if len(alive) > 1:
        raise ProviderError(f"EC2 has more than one instance {name!r} (asset {asset})", ", ".join(sorted(alive)), _CORRECT)
    if not volumes_of(ec2, alive[0]):
        raise ProviderError(
            f"{name} (asset {asset}) has no EBS volume",
            "an instance store cannot be snapshotted",
            "back the asset up with an engine that reads its files",
        )
    return alive[0]


def volumes_of(ec2: AwsService, instance: str) -> dict[str, int]:
    """Return the volumes that are attached to an instance, with their sizes in bytes."""
    attached = [{"Name": "attachment.instance-id", "Values": [instance]}]
    return {
        str(item["VolumeId"]): int(item["Size"]) * _GIBIBYTE
        for item in ec2.pages("describe_volumes", "Volumes", Filters=attached)
    }


def _instances(ec2: AwsService, chosen: dict[str, object]) -> list[Members]:
    reservations = ec2.pages("describe_instances", "Reservations", **chosen)
    return [item for reservation in reservations for item in cast("list[Members]", reservation.get("Instances", []))]


def _name_of(item: Members) -> str:
    return next((str(tag.get("Value", "")) for tag in item.get("Tags", []) if tag.get("Key") == "Name"), "")
