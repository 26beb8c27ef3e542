"""A vault of AWS Backup for tests, as far as its client's model and its documentation tell; moto has none of this."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid5

from support.aws_model_server import Members, ModelServer, Refusal

REGION, ACCOUNT, VAULT = "eu-west-1", "123456789012", "incidents"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/backup"
RESOURCE = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0123456789abcdef0"
VAULT_ARN = f"arn:aws:backup:{REGION}:{ACCOUNT}:backup-vault:{VAULT}"
_SPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
PAGE = 2


class BackupVault:
    """Jobs, recovery points, tags and legal holds. `points_at_once`: a job shows its recovery point when it starts."""

    def __init__(self) -> None:
        self.jobs: dict[str, Members] = {}
        self.tokens: dict[str, str] = {}
        self.points: dict[str, Members] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.holds: dict[str, Members] = {}
        self.hold_tokens: dict[str, str] = {}
        self.vault: Members = {}
        self.points_at_once = True
        self.holds_at_once = True
        self.holds_catch = True
        self.server = ModelServer("backup", self)

    def close(self) -> None:
        """Stop serving."""
        self.server.close()

    def end_jobs(self, state: str, message: str = "", category: str = "SUCCESS") -> None:
        """Bring every job that still works to its end."""
        for job in self.jobs.values():
            if job["State"] in ("CREATED", "RUNNING"):
                job.update(
                    State=state, StatusMessage=message, MessageCategory=category, BackupSizeInBytes=4096, BytesTransferred=4096
                )
                point = self._point_of(job)
                self.points[point].update(Status="COMPLETED" if state == "COMPLETED" else "PARTIAL", BackupSizeInBytes=4096)
                if state not in ("COMPLETED", "PARTIAL"):
                    del self.points[point]
                else:
                    job["RecoveryPointArn"] = point

    def _point_of(self, job: Members) -> str:
        return f"arn:aws:ec2:{REGION}::image/ami-{uuid5(_SPACE, job['BackupJobId']).hex[:17]}"

    # ---- the operations ----

    def StartBackupJob(self, given: Members) -> Members:  # noqa: N802
        token = given["IdempotencyToken"]
        if token not in self.tokens:
            if given["BackupVaultName"] != VAULT:
                raise Refusal("ResourceNotFoundException", "Backup vault was not found.")
            number = len(self.jobs) + 1
            name = str(uuid5(_SPACE, str(number)))
            now = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(milliseconds=number)
            job: Members = {
                "BackupJobId": name, "BackupVaultName": VAULT, "ResourceArn": given["ResourceArn"], "State": "RUNNING",
                "IamRoleArn": given["IamRoleArn"], "CreationDate": now, "BackupOptions": given.get("BackupOptions", {}),
            }  # fmt: skip
            arn = self._point_of(job)
            if self.points_at_once:
                job["RecoveryPointArn"] = arn
            self.points[arn] = {
                "RecoveryPointArn": arn, "BackupVaultName": VAULT, "ResourceArn": given["ResourceArn"], "Status": "CREATING",
                "CreationDate": now, "IsEncrypted": True, "EncryptionKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1",
                "Lifecycle": given.get("Lifecycle", {}),
            }  # fmt: skip
            self.tags[arn] = dict(given["RecoveryPointTags"])
            self.jobs[name], self.tokens[token] = job, name
        return {"BackupJobId": self.tokens[token]}

    def DescribeBackupJob(self, given: Members) -> Members:  # noqa: N802
        return _known(self.jobs, given["BackupJobId"])

    def StopBackupJob(self, given: Members) -> None:  # noqa: N802
        job = _known(self.jobs, given["BackupJobId"])
        if job["State"] != "RUNNING":
            raise Refusal("InvalidRequestException", "The job has ended.")
        job["State"] = "ABORTED"

    def ListBackupJobs(self, given: Members) -> Members:  # noqa: N802
        shown = [{k: v for k, v in job.items() if k != "BackupOptions"} for job in self.jobs.values()]
        since = given.get("ByCreatedAfter", datetime.min.replace(tzinfo=timezone.utc))
        return _page(given, "BackupJobs", [job for job in shown if job["CreationDate"] >= since])

    def ListTags(self, given: Members) -> Members:  # noqa: N802
        return {"Tags": _known(self.tags, given["ResourceArn"])}

    def TagResource(self, given: Members) -> None:  # noqa: N802
        _known(self.tags, given["ResourceArn"]).update(given["Tags"])

    def DescribeRecoveryPoint(self, given: Members) -> Members:  # noqa: N802
        return _known(self.points, given["RecoveryPointArn"])

    def ListRecoveryPointsByBackupVault(self, given: Members) -> Members:  # noqa: N802
        found = [item for item in self.points.values() if given.get("ByResourceArn") in (None, item["ResourceArn"])]
        return _page(given, "RecoveryPoints", found)

    def ListRecoveryPointsByResource(self, given: Members) -> Members:  # noqa: N802
        found = [item for item in self.points.values() if item["ResourceArn"] == given["ResourceArn"]]
        keep = ("RecoveryPointArn", "CreationDate", "Status")
        sized = [{**{name: item[name] for name in keep}, "BackupSizeBytes": item.get("BackupSizeInBytes", 0)} for item in found]
        return _page(given, "RecoveryPoints", sized)

    def UpdateRecoveryPointLifecycle(self, given: Members) -> Members:  # noqa: N802
        point = _known(self.points, given["RecoveryPointArn"])
        point["Lifecycle"] = given["Lifecycle"]
        return {"RecoveryPointArn": given["RecoveryPointArn"], "Lifecycle": given["Lifecycle"]}

    def DeleteRecoveryPoint(self, given: Members) -> None:  # noqa: N802
        _known(self.points, given["RecoveryPointArn"])
        if self.vault.get("Locked"):
            raise Refusal("InvalidRequestException", "The vault is locked.")
        del self.points[given["RecoveryPointArn"]]

    def DescribeBackupVault(self, given: Members) -> Members:  # noqa: N802
        if given["BackupVaultName"] != VAULT:
            raise Refusal("ResourceNotFoundException", "Backup vault was not found.")
        return {"BackupVaultName": VAULT, "BackupVaultArn": VAULT_ARN, **self.vault}

    def ListBackupVaults(self, given: Members) -> Members:  # noqa: N802
        return {"BackupVaultList": [{"BackupVaultName": VAULT, "BackupVaultArn": VAULT_ARN}]}

    def CreateLegalHold(self, given: Members) -> Members:  # noqa: N802
        token = given["IdempotencyToken"]
        if token not in self.hold_tokens:
            name = str(uuid5(_SPACE, token))
            status = "ACTIVE" if self.holds_at_once else "CREATING"
            hold: Members = {"LegalHoldId": name, "Title": given["Title"], "Description": given["Description"], "Status": status}
            self.holds[name] = {**hold, "CreationDate": datetime.now(timezone.utc)}
            self.hold_tokens[token] = name
        return self.holds[self.hold_tokens[token]]

    def ListLegalHolds(self, given: Members) -> Members:  # noqa: N802
        return _page(given, "LegalHolds", list(self.holds.values()))

    def ListRecoveryPointsByLegalHold(self, given: Members) -> Members:  # noqa: N802
        _known(self.holds, given["LegalHoldId"])
        found = [{"RecoveryPointArn": arn, "BackupVaultName": VAULT} for arn in self.points] if self.holds_catch else []
        return _page(given, "RecoveryPoints", found)

    def CancelLegalHold(self, given: Members) -> None:  # noqa: N802
        _known(self.holds, given["LegalHoldId"])["Status"] = "CANCELING"


def _known(kept: dict[str, Any], name: str) -> Any:
    if name not in kept:
        raise Refusal("ResourceNotFoundException", f"{name} was not found.")
    return kept[name]


def _page(given: Members, member: str, items: list[Members]) -> Members:
    """Return a page of a list; pages are short, so that readers have to turn them."""
    at = int(given.get("NextToken") or 0)
    following = {"NextToken": str(at + PAGE)} if at + PAGE < len(items) else {}
    return {member: items[at : at + PAGE], **following}
