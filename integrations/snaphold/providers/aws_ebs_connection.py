"""The test of a connection to EC2: who we are, and which calls are refused in a dry run."""

from __future__ import annotations

from snaphold.config import Configuration, Integration
from snaphold.platforms.base import Reachability
from snaphold.providers.aws_account import AwsAccount

_NOTHING = "snap-00000000000000000"
"""No snapshot has this id: dry runs against it say what we may do, and could change nothing anyway."""


def check_connection(integration: Integration, configuration: Configuration) -> Reachability:
    """Return as whom we are signed in, and which calls are refused in a dry run; nothing is changed."""
    account = AwsAccount(integration, configuration)
    ec2 = account.open("ec2")
    _, who = account.who()
    asked: dict[str, dict[str, object]] = {
        "describe_instances": {},
        "describe_volumes": {},
        "describe_snapshots": {"OwnerIds": ["self"]},
        "describe_locked_snapshots": {},
        "create_snapshots": {"InstanceSpecification": {"InstanceId": "i-00000000000000000"}},
        "create_tags": {"Resources": [_NOTHING], "Tags": [{"Key": "snaphold:test", "Value": ""}]},
        "lock_snapshot": {"SnapshotId": _NOTHING, "LockMode": "governance", "LockDuration": 1},
    }
    missing = [
        f"{operation} is refused: give it ec2:{''.join(part.capitalize() for part in operation.split('_'))}"
        for operation, parameters in asked.items()
        if not ec2.may(operation, **parameters)
    ]
    return Reachability(signed_in_as=who, missing=tuple(missing))
