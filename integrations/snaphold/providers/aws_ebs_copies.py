"""Copies of snapshots in an isolated account or region, out of reach of whoever holds the first one."""

from __future__ import annotations

from collections.abc import Sequence

from snaphold.config import Configuration, Integration, Pool
from snaphold.errors import InputError, ProviderError, UnknownOutcomeError
from snaphold.providers.aws_account import AwsAccount
from snaphold.providers.aws_ebs_snapshots import LOOKS, Snapshot, find_snapshots
from snaphold.providers.aws_errors import AwsError
from snaphold.providers.aws_marks import JOB, PREFIX, SOURCE, tag_list
from snaphold.providers.aws_session import AwsService


class IsolatedAccount:
    """The account or region that copies go to; the integration that the pool names in `copy_to`."""

    def __init__(self, source: AwsService, target: AwsAccount, kms_key: str) -> None:
        self._source = source
        self._target = target
        self._kms_key = kms_key
        self.ec2 = target.open("ec2")

    @property
    def name(self) -> str:
        """How the place is told to a person."""
        return f"{self._target.integration.name} ({self.ec2.region})"

    def find(self, job: str, *, looks: int = 1) -> list[Snapshot]:
        """Return the copies of a job's snapshots that are there, also those that are not complete yet."""
        return find_snapshots(self.ec2, looks=looks, job=job)

    def copy(self, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
        """Have every snapshot copied once, and return the copies as they stand.

        The account that copies is given the right to read the snapshots first. Raises ProviderError when a snapshot is
        not complete yet, UnknownOutcomeError when it cannot be told whether a copy was begun.
        """
        unfinished = [item.id for item in snapshots if item.state != "completed"]
        if unfinished:
            raise ProviderError(
                f"{', '.join(unfinished)} cannot be copied yet", "it is not complete", "wait until it is, then repeat"
            )
        job = snapshots[0].marks[JOB]
        there = {item.marks.get(SOURCE, "") for item in self.find(job, looks=LOOKS)}
        lacking = [item for item in snapshots if item.id not in there]
        if lacking:
            account, _ = self._target.who()
            for item in lacking:
                if item.owner != account:
                    share(self._source, item.id, account)
                self._copy_one(item, job)
        return self._all_of(job, snapshots)

    def _copy_one(self, item: Snapshot, job: str) -> None:
        marks = {name: value for name, value in item.marks.items() if name.startswith(PREFIX) and name.count(":") == 1}
        key = {"Encrypted": True, "KmsKeyId": self._kms_key} if self._kms_key else {}
        try:
            self.ec2.write_once(
                "copy_snapshot",
                "SnapshotId",
                SourceRegion=self._source.region,
                SourceSnapshotId=item.id,
                Description=f"Snaphold {job}: copy of {item.id}",
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": tag_list({**marks, SOURCE: item.id})}],
                **key,
            )
        except AwsError as error:
            if not error.may_have_acted or item.id in {copy.marks.get(SOURCE) for copy in self.find(job, looks=LOOKS)}:
                if error.may_have_acted:
                    return
                raise
            raise UnknownOutcomeError(
                f"it is not known whether {item.id} is being copied to {self.name}",
                f"{error.what}: {error.why}",
                "look at the snapshots there, then repeat under the same key: a copy that is there is found",
            ) from error

    def _all_of(self, job: str, snapshots: Sequence[Snapshot]) -> list[Snapshot]:
        wanted = {item.id for item in snapshots}
        copies = [item for item in self.find(job, looks=LOOKS) if item.marks.get(SOURCE) in wanted]
        lacking = wanted - {item.marks.get(SOURCE, "") for item in copies}
        if lacking:
            raise ProviderError(
                f"the copies of {', '.join(sorted(lacking))} are not shown yet in {self.name}",
                "AWS shows what was just made with a delay",
                "repeat; a copy that is there is found",
                retryable=True,
            )
        return copies


def isolated_account(source: AwsService, pool: Pool, configuration: Configuration) -> IsolatedAccount | None:
    """Return where a pool's copies go, None when it names no place. Raises InputError when the place is not fit."""
    name = pool.settings.get("copy_to", "")
    if not name:
        return None
    target = next((item for item in configuration.integrations if item.name == name), None)
    if target is None or target.kind != pool.provider or name == pool.integration:
        raise InputError(
            f"copy_to of the pool {pool.name} names no other {pool.provider} integration",
            f"it names {name!r}",
            "add the isolated account under integrations in snaphold.yaml",
        )
    return IsolatedAccount(source, _account(target, configuration), pool.settings.get("copy_kms_key", ""))


def share(ec2: AwsService, snapshot: str, account: str, *, on: bool = True) -> None:
    """Give an account the right to read a snapshot, or take it away; a repeat changes nothing."""
    ec2.write(
        "modify_snapshot_attribute",
        SnapshotId=snapshot,
        Attribute="createVolumePermission",
        OperationType="add" if on else "remove",
        UserIds=[account],
    )


def _account(integration: Integration, configuration: Configuration) -> AwsAccount:
    return AwsAccount(integration, configuration)
