"""Application-consistent snapshots of Windows instances: a document of Systems Manager has VSS freeze and EC2 copy.

The document makes and tags the snapshots itself; a sent command bears our job id in its comment, so that it is found
again. What the document reports is passed on as its report: nothing here looks into the volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snaphold.errors import UnknownOutcomeError
from snaphold.providers.aws_ebs_snapshots import LOOKS, Snapshot
from snaphold.providers.aws_errors import AwsError
from snaphold.providers.aws_marks import PREFIX, Marks
from snaphold.providers.aws_session import AwsService, pause_for_tags

DOCUMENT = "AWSEC2-CreateVssSnapshot"
VSS = PREFIX + "vss"
"""The tag of snapshots that were asked to be application-consistent; it names the document."""
_DELIVERY_SECONDS = 600
_WORKING = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})
_FAILED = frozenset({"Failed", "TimedOut", "Cancelled"})


@dataclass(frozen=True)
class Command:
    """A command of Systems Manager, as it stands."""

    id: str
    status: str
    detail: str

    @property
    def working(self) -> bool:
        """Whether it may still make snapshots."""
        return self.status in _WORKING

    @property
    def failed(self) -> bool:
        """Whether it surely ended badly."""
        return self.status in _FAILED


class VssDocument:
    """The document that makes the snapshots."""

    def __init__(self, ssm: AwsService, name: str) -> None:
        self._ssm = ssm
        self.name = name

    def check(self) -> str:
        """Return why the document cannot be used; empty when it can."""
        document = self._ssm.read("describe_document", "Document", Name=self.name)["Document"]
        status = str(document.get("Status", ""))
        return "" if status == "Active" else f"the document {self.name} is {status or 'in no known state'}"

    def find(self, job: str, *, looks: int = 1) -> Command | None:
        """Return the command that was sent for a job; AWS forgets commands after 30 days."""
        chosen = [{"key": "DocumentName", "value": self.name}]
        for look in range(1, looks + 1):
            for item in self._ssm.pages("list_commands", "Commands", Filters=chosen):
                if item.get("Comment") == job:
                    return Command(
                        str(item.get("CommandId", "")), str(item.get("Status", "")), str(item.get("StatusDetails", ""))
                    )
            if look < looks:
                pause_for_tags(look)
        return None

    def send(self, instance: str, job: str, marks: Marks, description: str) -> None:
        """Have the document run on an instance, once.

        Raises UnknownOutcomeError when the answer was lost and no such command is found.
        """
        tags = ";".join(f"Key={name},Value={value}" for name, value in {**marks, VSS: self.name}.items())
        try:
            self._ssm.write_once(
                "send_command",
                "Command",
                DocumentName=self.name,
                InstanceIds=[instance],
                Comment=job,
                TimeoutSeconds=_DELIVERY_SECONDS,
                Parameters={"ExcludeBootVolume": ["False"], "description": [description], "tags": [tags]},
            )
        except AwsError as error:
            if not error.may_have_acted:
                raise
            if self.find(job, looks=LOOKS) is None:
                raise UnknownOutcomeError(
                    f"it is not known whether {self.name} was sent to {instance}",
                    f"{error.what}: {error.why}",
                    "look at the commands of Systems Manager; one that was sent is found by its comment",
                ) from error


def consistency_of(snapshots: Sequence[Snapshot]) -> tuple[str, str]:
    """Return how consistent snapshots are that a VSS document made, and what is wrong with that."""
    document = snapshots[0].marks.get(VSS, DOCUMENT)
    without = [item.id for item in snapshots if item.marks.get("AppConsistent", "").lower() != "true"]
    if not without:
        return f"application-consistent: VSS by {document}, as its tag AppConsistent says; not checked here", ""
    why = f"the tag AppConsistent of {', '.join(without)} is not True"
    return f"degraded: crash-consistent, although {document} was asked for VSS ({why})", why
