"""The test of a connection to AWS Backup: who we are, and which reads are refused."""

from __future__ import annotations

from snaphold.config import Configuration, Integration
from snaphold.platforms.base import Reachability
from snaphold.providers.aws_account import AwsAccount
from snaphold.providers.aws_errors import AwsDeniedError


def check_connection(integration: Integration, configuration: Configuration) -> Reachability:
    """Return as whom we are signed in, and which reads are refused.

    AWS Backup has no dry run: whether writes are allowed shows only when one is made.
    """
    account = AwsAccount(integration, configuration)
    backup = account.open("backup")
    _, who = account.who()
    missing: list[str] = []
    for operation, member in (
        ("list_backup_vaults", "BackupVaultList"),
        ("list_backup_jobs", "BackupJobs"),
        ("list_legal_holds", "LegalHolds"),
    ):
        try:
            backup.read(operation, member, MaxResults=1)
        except AwsDeniedError as error:
            missing.append(f"{operation} is refused: {error.why}")
    return Reachability(signed_in_as=who, missing=tuple(missing))
