"""EC2, Systems Manager and STS on loopback: moto's server, with what it lacks before it.

moto has no snapshot locks, ends every snapshot at once, lets everybody in and copies only within one account. Those
parts are here, and switches for what EC2 does in bad hours. Requests come from AWS's own client, which validates them.
"""

from __future__ import annotations

import re
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache
from io import BytesIO
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

ACCESS_KEY, SECRET_KEY = "AKIAEXAMPLEEXAMPLE00", "only-for-tests-0123456789"
REGION, OTHER_REGION = "eu-west-1", "eu-central-1"
ACCOUNT, ISOLATED_ACCOUNT = "123456789012", "222222222222"
ISOLATED_ROLE = f"arn:aws:iam::{ISOLATED_ACCOUNT}:role/snaphold"
MARK = "snaphold:job"
_XML = "http://ec2.amazonaws.com/doc/2016-11-15/"
_PLACE = re.compile(r"Credential=([^/]+)/[0-9]+/([^/]+)/([^/]+)/")
StartResponse = Callable[..., Any]


@dataclass
class LockedSnapshot:
    """A lock as EC2 keeps it."""

    mode: str
    until: datetime


@dataclass(eq=False)
class AwsWorld:
    """The server and its switches. `calls` counts what was asked, by name; `locks` are the locks, by snapshot."""

    url: str = ""
    calls: Counter[str] = field(default_factory=Counter[str])
    locks: dict[str, LockedSnapshot] = field(default_factory=dict[str, LockedSnapshot])
    denied: set[str] = field(default_factory=set[str])
    refuse: dict[str, tuple[int, str, str]] = field(default_factory=dict[str, tuple[int, str, str]])
    """By name of a call: status, code and message of the answer, until it is taken out."""
    throttle: Counter[str] = field(default_factory=Counter[str])
    """How many of the next calls of a name are refused as too many."""
    late_tags: int = 0
    """How many looks at snapshots show none of those that bear our mark."""
    new_snapshots: str = "pending"

    def __post_init__(self) -> None:
        """Take over the server of this process with nothing in it."""
        reset_moto()
        self._lock = threading.RLock()
        self._moto, self.url = _server()
        _now_serving.append(self)

    def close(self) -> None:
        """Leave the server; whoever asks it then is refused."""
        _now_serving.remove(self)

    def client(self, service: str = "ec2", region: str = REGION) -> Any:
        """Return a client of our own, to look at what really happened."""
        return _client(service, region)

    def backend(self, region: str = REGION, account: str = ACCOUNT) -> Any:
        """Return moto's own EC2 of a region."""
        from moto.ec2.models import ec2_backends

        return ec2_backends[account][region]

    def run_instance(self, name: str, volumes: int = 2) -> str:
        """Run an instance with so many volumes and a name; return its id."""
        ec2, image = self.client(), next(iter(self.backend().amis))
        names = ["/dev/sda1", *(f"/dev/sd{letter}" for letter in "fghijk")][:volumes]
        disks = [{"DeviceName": device, "Ebs": {"VolumeSize": 8}} for device in names]
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}]
        answer = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=tags, BlockDeviceMappings=disks)
        return str(answer["Instances"][0]["InstanceId"])

    def snapshots(self, region: str = REGION, account: str = ACCOUNT) -> list[Any]:
        """Return the snapshots that bear our mark, as moto keeps them."""
        kept = self.backend(region, account).snapshots.values()
        return [item for item in kept if any(tag["key"] == MARK for tag in item.get_tags())]

    def set_states(self, state: str, region: str = REGION, account: str = ACCOUNT) -> None:
        """Bring every snapshot of ours into a state."""
        for item in self.snapshots(region, account):
            item.status = state

    def answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one call: here when moto has no answer, or when a switch says so."""
        with self._lock:
            return self._answer(environ, start_response)

    def _answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        form = {name: values[0] for name, values in urllib.parse.parse_qs(body.decode(), keep_blank_values=True).items()}
        action = form.get("Action") or str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]
        self.calls[action] += 1
        place = _PLACE.search(str(environ.get("HTTP_AUTHORIZATION", "")))
        key, region = (place[1], place[2]) if place else ("", REGION)
        if key != ACCESS_KEY and not key.startswith("ASIA"):
            return _refuse(start_response, 401, "AuthFailure", "AWS was not able to validate the provided access credentials")
        if action in self.denied:
            return _refuse(start_response, 403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
        if action in self.refuse:
            return _refuse(start_response, *self.refuse[action])
        if self.throttle[action]:
            self.throttle[action] -= 1
            return _refuse(start_response, 503, "RequestLimitExceeded", "Request limit exceeded.")
        own = getattr(self, f"_{action}", None)
        if own is not None:
            return own(form, region, key, start_response)
        if form.get("DryRun") == "true":
            return _refuse(start_response, 412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
        return self._ask_moto(action, form, environ, start_response)

    def _ask_moto(
        self, action: str, form: dict[str, str], environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        before = set(self.backend().snapshots)
        if action == "DescribeSnapshots" and self.late_tags and "tag:" + MARK in set(form.values()):
            self.late_tags -= 1
            return _reply(start_response, "DescribeSnapshots", "<snapshotSet/>")
        answer = list(self._moto(environ, start_response))
        if action == "CreateSnapshots":
            for name in set(self.backend().snapshots) - before:
                self.backend().snapshots[name].status = self.new_snapshots
        return answer

    # ---- what moto lacks ----

    def _LockSnapshot(self, form: dict[str, str], region: str, key: str, start: StartResponse) -> Iterable[bytes]:  # noqa: N802
        name = form["SnapshotId"]
        if form.get("DryRun") == "true":
            return _refuse(start, 412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
        if not self._known(name):
            return _refuse(start, 400, "InvalidSnapshot.NotFound", f"The snapshot '{name}' does not exist.")
        now = datetime.now(timezone.utc)
        until = _moment(form["ExpirationDate"]) if "ExpirationDate" in form else now + timedelta(days=int(form["LockDuration"]))
        held = self.locks.get(name)
        if until < now + timedelta(days=1):
            return _refuse(start, 400, "InvalidParameterValue", "A lock lasts at least one day.")
        if held and held.mode == "compliance" and (form["LockMode"] != "compliance" or until < held.until):
            return _refuse(start, 400, "InvalidParameterCombination", "A lock in compliance mode cannot be weakened.")
        self.locks[name] = LockedSnapshot(form["LockMode"], until)
        return _reply(start, "LockSnapshot", self._lock_xml(name))

    def _UnlockSnapshot(self, form: dict[str, str], region: str, key: str, start: StartResponse) -> Iterable[bytes]:  # noqa: N802
        name = form["SnapshotId"]
        if name in self.locks and self.locks[name].mode == "compliance":
            return _refuse(start, 400, "OperationNotPermitted", "The snapshot is locked in compliance mode.")
        self.locks.pop(name, None)
        return _reply(start, "UnlockSnapshot", f"<snapshotId>{name}</snapshotId>")

    def _DescribeLockedSnapshots(  # noqa: N802
        self, form: dict[str, str], region: str, key: str, start: StartResponse
    ) -> Iterable[bytes]:
        if form.get("DryRun") == "true":
            return _refuse(start, 412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
        asked = {value for name, value in form.items() if name.startswith("SnapshotId")}
        items = "".join(f"<item>{self._lock_xml(name)}</item>" for name in self.locks if not asked or name in asked)
        return _reply(start, "DescribeLockedSnapshots", f"<snapshotSet>{items}</snapshotSet>")

    def _DeleteSnapshot(self, form: dict[str, str], region: str, key: str, start: StartResponse) -> Iterable[bytes]:  # noqa: N802
        name = form["SnapshotId"]
        if name in self.locks:
            return _refuse(start, 400, "OperationNotPermitted", f"The snapshot {name} is locked.")
        for account, where in self._places():
            if self.backend(where, account).snapshots.pop(name, None):
                return _reply(start, "DeleteSnapshot", "<return>true</return>")
        return _refuse(start, 400, "InvalidSnapshot.NotFound", f"The snapshot '{name}' does not exist.")

    def _CopySnapshot(self, form: dict[str, str], region: str, key: str, start: StartResponse) -> Iterable[bytes]:  # noqa: N802
        from moto.ec2.models.elastic_block_store import Snapshot
        from moto.ec2.utils import random_snapshot_id

        account = ACCOUNT if key == ACCESS_KEY else ISOLATED_ACCOUNT
        source = self.backend(form["SourceRegion"]).snapshots.get(form["SourceSnapshotId"])
        if source is None or (account != ACCOUNT and account not in source.create_volume_permission_userids):
            return _refuse(start, 400, "InvalidSnapshot.NotFound", "The snapshot does not exist or is not shared with you.")
        if source.status != "completed":
            return _refuse(start, 400, "IncorrectState", "The snapshot is not completed.")
        target = self.backend(region, account)
        copy: Any = Snapshot(target, random_snapshot_id(), volume=source.volume, description=form["Description"])
        target.snapshots[copy.id] = copy
        numbers = [name.split(".")[3] for name in form if name.startswith("TagSpecification.1.Tag.") and name.endswith(".Key")]
        copy.add_tags({form[f"TagSpecification.1.Tag.{n}.Key"]: form[f"TagSpecification.1.Tag.{n}.Value"] for n in numbers})
        copy.status = "pending"
        return _reply(start, "CopySnapshot", f"<snapshotId>{copy.id}</snapshotId>")

    def _lock_xml(self, name: str) -> str:
        lock = self.locks[name]
        until = lock.until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        text = f"<snapshotId>{name}</snapshotId><lockState>{lock.mode}</lockState><lockExpiresOn>{until}</lockExpiresOn>"
        return f"<ownerId>{ACCOUNT}</ownerId>{text}"

    def _known(self, name: str) -> bool:
        return any(name in self.backend(region, account).snapshots for account, region in self._places())

    def _places(self) -> list[tuple[str, str]]:
        return [(account, region) for account in (ACCOUNT, ISOLATED_ACCOUNT) for region in (REGION, OTHER_REGION)]


def reset_moto() -> None:
    """Forget what moto keeps in this process, but for its images: making those anew takes seconds."""
    from moto.ec2.models import ec2_backends
    from moto.ssm.models import ssm_backends

    for account in (ACCOUNT, ISOLATED_ACCOUNT):
        ssm_backends[account].reset()
        for region in (REGION, OTHER_REGION):
            backend: Any = ec2_backends[account][region]
            for kept in (backend.snapshots, backend.volumes, backend.attachments, backend.reservations):
                kept.clear()


_now_serving: list[AwsWorld] = []


@cache
def _client(service: str, region: str) -> Any:
    import boto3
    import botocore.session
    from botocore.config import Config

    from snaphold.providers.aws_models import shared_loader

    bare: Any = botocore.session.Session()
    bare.register_component("data_loader", shared_loader())
    session: Any = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=region, botocore_session=bare)
    # The first call has moto load itself; a call that is made twice could make two of something.
    patient = Config(read_timeout=240, retries={"mode": "standard", "total_max_attempts": 1})
    return session.client(service, endpoint_url=_server()[1], config=patient)


@cache
def _server() -> tuple[Any, str]:
    """Return moto and the address of this process's only server, on a free port; it ends with the process."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:
            """Say nothing: requests are counted, not printed."""

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if not _now_serving:
            return _refuse(start_response, 503, "Unavailable", "No test is at work.")
        return _now_serving[-1].answer(environ, start_response)

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return DomainDispatcherApplication(create_backend_app), f"http://127.0.0.1:{server.server_address[1]}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _reply(start: StartResponse, action: str, inner: str, status: str = "200 OK") -> list[bytes]:
    text = f'<{action}Response xmlns="{_XML}"><requestId>{uuid4()}</requestId>{inner}</{action}Response>'
    return _send(start, status, text)


def _refuse(start: StartResponse, status: int, code: str, message: str) -> list[bytes]:
    said = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return _send(start, f"{status} Refused", f"<Response><Errors>{said}</Errors><RequestID>{uuid4()}</RequestID></Response>")


def _send(start: StartResponse, status: str, text: str) -> list[bytes]:
    body = text.encode()
    start(status, [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))])
    return [body]
