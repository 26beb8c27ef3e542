"""AWS Backup beside a vault that speaks as its client's model says, for the suite of all backup products."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from snaphold.config import Integration
from support.aws_backup_world import REGION, RESOURCE, ROLE, VAULT, BackupVault
from support.aws_moto import ACCESS_KEY, SECRET_KEY, AwsWorld
from support.vendor_rigs import VendorRig
from support.waiting import PATIENCE_SECONDS


class ProductRig(VendorRig):
    """One instance, known to AWS Backup by its ARN."""

    kind = "aws_backup"
    location = VAULT

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.accounts = AwsWorld()
        self.world = BackupVault()
        self.address = self.world.server.url
        self.settings: dict[str, str] = {"backup_role": ROLE}

    def close(self) -> None:
        self.world.close()
        self.accounts.close()

    @property
    def integration(self) -> Integration:
        os.environ["RIG_AWS_ACCESS_KEY"], os.environ["RIG_AWS_SECRET_KEY"] = ACCESS_KEY, SECRET_KEY
        return Integration(
            name="my-aws-backup",
            kind=self.kind,
            url=self.address,
            credentials={"access_key": "env:RIG_AWS_ACCESS_KEY", "secret_key": "env:RIG_AWS_SECRET_KEY"},
            settings={"region": REGION, "sts_endpoint": self.accounts.url},
            timeout=timedelta(seconds=PATIENCE_SECONDS),
        )

    def pool_settings(self) -> dict[str, str]:
        return self.settings

    def workloads(self) -> dict[str, str]:
        return {"my-aws-backup": RESOURCE}

    def started(self) -> int:
        return len(self.world.jobs)

    def let_jobs_end(self, *, well: bool = True) -> None:
        self.world.end_jobs("COMPLETED" if well else "FAILED", "" if well else "Insufficient privileges.", "SUCCESS")
