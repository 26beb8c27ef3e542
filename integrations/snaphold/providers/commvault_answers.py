"""Commvault's answers in typed shapes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class _Listed(_Shape):
    """A list, whose key is left out by some versions when it is empty."""

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, given: Any) -> Any:
        if given != {}:
            return given
        empty: dict[str, list[Any]] = {name: [] for name in cls.model_fields}
        return empty


class Token(_Shape):
    """What a sign-in gives."""

    token: str = Field(min_length=1)
    user: str = Field(default="", alias="userName")


class ClientEntity(_Shape):
    """A client."""

    id: int = Field(alias="clientId")
    name: str = Field(alias="clientName")
    shown: str = Field(default="", alias="displayName")


class _ClientBox(_Shape):
    entity: ClientEntity = Field(alias="clientEntity")


class _ClientRow(_Shape):
    client: _ClientBox


class ClientList(_Listed):
    """All clients."""

    rows: list[_ClientRow] = Field(alias="clientProperties")


class SubclientEntity(_Shape):
    """The names and ids of a subclient. All its fields go back into an order."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    id: int = Field(alias="subclientId")
    name: str = Field(alias="subclientName")
    backup_set: str = Field(default="", alias="backupsetName")
    client_id: int = Field(alias="clientId")
    client: str = Field(alias="clientName")
    agent: str = Field(default="", alias="appName")

    @property
    def path(self) -> str:
        """The name that tells it from all others of its client."""
        return f"{self.client}/{self.backup_set}/{self.name}"


class PlanEntity(_Shape):
    """The plan of a subclient."""

    id: int = Field(alias="planId")
    name: str = Field(default="", alias="planName")


class SubclientRow(_Shape):
    """A subclient, and its plan when it has one."""

    entity: SubclientEntity = Field(alias="subClientEntity")
    plan: PlanEntity | None = Field(default=None, alias="planEntity")


class SubclientList(_Listed):
    """The subclients of a client, or the one that was asked for."""

    rows: list[SubclientRow] = Field(alias="subClientProperties")


class _User(_Shape):
    name: str = Field(default="", alias="userName")


class _Policy(_Shape):
    id: int = Field(default=0, alias="storagePolicyId")


class _JobSubclient(_Shape):
    id: int = Field(default=0, alias="subclientId")
    client: str = Field(default="", alias="clientName")


class Job(_Shape):
    """A job as it stands. Times are seconds since 1970, sizes bytes."""

    id: int = Field(alias="jobId")
    status: str = Field(min_length=1)
    commcell: int = Field(default=2, alias="commcellId")
    type: str = Field(default="", alias="jobType")
    percent: float = Field(default=0, alias="percentComplete")
    level: str = Field(default="", alias="backupLevelName")
    started_at: int = Field(default=0, alias="jobStartTime")
    ended_at: int = Field(default=0, alias="jobEndTime")
    size: int = Field(default=0, alias="sizeOfApplication", ge=0)
    files: int = Field(default=0, alias="totalNumOfFiles", ge=0)
    failed_files: int = Field(default=0, alias="totalFailedFiles")
    pending_reason: str = Field(default="", alias="pendingReason")
    agent: str = Field(default="", alias="appTypeName")
    user: _User = Field(default=_User(), alias="userName")
    policy: _Policy = Field(default=_Policy(), alias="storagePolicy")
    subclient: _JobSubclient = Field(default=_JobSubclient())


class _JobRow(_Shape):
    job: Job = Field(alias="jobSummary")


class JobList(_Shape):
    """A page of jobs; `total` counts those of all pages."""

    total: int = Field(alias="totalRecordsWithoutPaging")
    rows: list[_JobRow] = Field(default_factory=list[_JobRow], alias="jobs")


class _CommonOptions(_Shape):
    description: str = Field(default="", alias="jobDescription")


class _Options(_Shape):
    common: _CommonOptions = Field(default=_CommonOptions(), alias="commonOpts")


class _SubTask(_Shape):
    options: _Options = _Options()


class _Task(_Shape):
    sub_tasks: list[_SubTask] = Field(default_factory=list[_SubTask], alias="subTasks")


class TaskDetails(_Shape):
    """The order that started a job."""

    task: _Task = Field(alias="taskInfo")

    @property
    def description(self) -> str:
        """The description that the order gave its job; empty when none is shown."""
        return next((item.options.common.description for item in self.task.sub_tasks if item.options.common.description), "")


class Started(_Shape):
    """The jobs that an order started."""

    jobs: list[str] = Field(alias="jobIds", min_length=1)


class StoragePool(_Shape):
    """A disk storage pool; sizes in megabytes."""

    id: int
    name: str
    status: str = ""
    capacity: int | None = None
    free: int | None = Field(default=None, alias="freeSpace")


class StoragePools(_Listed):
    """All disk storage pools."""

    pools: list[StoragePool] = Field(alias="diskStorage")


class _Encryption(_Shape):
    encrypt: bool | None = None
    cipher: str = ""
    key_length: int = Field(default=0, alias="keyLength")


class StoragePoolDetail(_Shape):
    """How a storage pool encrypts."""

    id: int
    encryption: _Encryption = _Encryption()


class _Named(_Shape):
    id: int
    name: str | None = None


class Copy(_Shape):
    """A copy of a plan's backups in a storage pool."""

    entity: _Named = Field(alias="copy")
    plan: _Named
    snapshots: bool = Field(default=False, alias="isSnapCopy")


class CopyList(_Listed):
    """The copies in a storage pool."""

    copies: list[Copy]


FOR_EVER = 2**62
"""A retention that says no time: what is not understood is kept."""


def _read_until(given: int) -> int:
    return FOR_EVER if given < 0 else given


class KeptJob(_Shape):
    """A job as one copy has it. `until` (seconds since 1970) is 0 when the plan alone decides."""

    id: int = Field(alias="jobId")
    until: Annotated[int, AfterValidator(_read_until)] = Field(default=0, alias="retainUntil")
    encrypted: bool | None = None
    checked: str = Field(default="", alias="strDataVerificationStatus")
    checked_on: str = Field(default="", alias="lastVerifiedOn")
    aged: bool = Field(default=False, alias="isAged")


class KeptJobs(_Listed):
    """The jobs of a copy."""

    jobs: list[KeptJob]


class Operated(_Shape):
    """What came of an operation on a job of a copy."""

    depended: bool = Field(alias="dependentJobsExist")


class _Plan(_Shape):
    plan: _Named
    status: str = ""


class PlanList(_Listed):
    """All plans."""

    plans: list[_Plan]


class _Pattern(_Shape):
    kind: str = Field(default="", alias="scheduleFrequencyType")
    frequency: int = 0


class Schedule(_Shape):
    """A schedule of a plan."""

    id: int = Field(alias="scheduleId")
    name: str = Field(default="", alias="scheduleName")
    pattern: _Pattern = Field(default=_Pattern(), alias="schedulePattern")


class Schedules(_Listed):
    """The schedules of a plan."""

    schedules: list[Schedule]


class Acknowledged(_Shape):
    """That a change was taken; no more is told."""

    code: int | str = Field(alias="errorCode")
