"""EBS beside moto's server, for the suite of all backup products."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from snaphold.config import Integration
from support.aws_moto import ACCESS_KEY, MARK, REGION, SECRET_KEY, AwsWorld
from support.vendor_rigs import ASSET, VendorRig
from support.waiting import PATIENCE_SECONDS


class ProductRig(VendorRig):
    """One instance with two volumes, called as the asset is."""

    kind = "aws_ebs"
    location = REGION

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.world = AwsWorld()
        self.instance = self.world.run_instance(ASSET)
        self.world.calls.clear()
        self.address = self.world.url
        self.settings: dict[str, str] = {"publish_to": "333333333333"}

    def close(self) -> None:
        self.world.close()

    @property
    def integration(self) -> Integration:
        os.environ["RIG_AWS_ACCESS_KEY"], os.environ["RIG_AWS_SECRET_KEY"] = ACCESS_KEY, SECRET_KEY
        return Integration(
            name="my-aws",
            kind=self.kind,
            url=self.address,
            credentials={"access_key": "env:RIG_AWS_ACCESS_KEY", "secret_key": "env:RIG_AWS_SECRET_KEY"},
            settings={"region": REGION, "sts_endpoint": self.address, "ssm_endpoint": self.address},
            timeout=timedelta(seconds=PATIENCE_SECONDS),
        )

    def pool_settings(self) -> dict[str, str]:
        return self.settings

    def started(self) -> int:
        """Return how many sets of snapshots there are: two volumes make one."""
        marks = [tag["value"] for item in self.world.snapshots() for tag in item.get_tags() if tag["key"] == MARK]
        assert all(marks.count(mark) % 2 == 0 for mark in marks)
        return len(marks) // 2

    def let_jobs_end(self, *, well: bool = True) -> None:
        self.world.set_states("completed" if well else "error")
