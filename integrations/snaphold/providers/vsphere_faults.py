"""What the faults of vSphere mean for people: what happened, why, what to do."""

from __future__ import annotations

from typing import Any

from snaphold.errors import CapacityError, NotAuthorisedError, ProviderError, SnapholdError
from snaphold.secrets import redact

_SIGN_IN = "check user (with its domain, user@vsphere.local) and password of the integration"
_LATER = "wait until it has ended, then repeat under the same key"
_STORAGE = "look at the datastore in vCenter"

_BUSY: dict[str, tuple[str, str]] = {
    "TaskInProgress": ("another task works on the machine", _LATER),
    "ConcurrentAccess": ("somebody else changes the machine right now", _LATER),
    "HostCommunication": ("vCenter cannot reach the machine's host", "look at the host in vCenter"),
    "HostNotConnected": ("the machine's host is not connected", "look at the host in vCenter"),
    "HostNotReachable": ("vCenter cannot reach the machine's host", "look at the host in vCenter"),
    "NotEnoughLicenses": ("the licence does not allow it", "look at the licences in vCenter"),
}
_REFUSALS: dict[str, tuple[str, str]] = {
    "ManagedObjectNotFound": ("it is no longer in vCenter", "look whether the machine or the snapshot was removed"),
    "NotFound": ("vCenter does not find it", "look whether the machine or the snapshot was removed"),
    "InvalidPowerState": ("the machine is in a power state that forbids it", "look at the machine in vCenter"),
    "InvalidState": ("the machine is in a state that forbids it", "look at the machine in vCenter"),
    "InvalidName": ("vCenter refuses the snapshot's name", "report it"),
    "NotSupported": ("the machine does not allow snapshots", "physical RDM or shared-bus disks forbid them: use another product"),
    "MethodDisabled": ("vCenter has disabled this for the machine", "another product may hold it; look at the machine's tasks"),
    "RestrictedVersion": ("the host's licence does not allow writing through the API", "use vCenter or another licence"),
    "TooManySnapshotLevels": ("the machine has too many snapshots in a chain", "remove old snapshots"),
    "SnapshotNoChange": ("nothing changed since the last snapshot", "use the last one"),
    "MultipleSnapshotsNotSupported": ("the machine allows one snapshot only", "remove the old one"),
    "SnapshotDisabled": ("snapshots are disabled for the machine", "enable them in its settings"),
    "SnapshotLocked": ("the machine's snapshots are locked", "another product may hold them"),
    "MemorySnapshotOnIndependentDisk": ("the machine has an independent disk", "use another product"),
    "FilesystemQuiesceFault": ("the guest's file systems could not be quiesced", "look at VMware Tools and its log in the guest"),
    "ApplicationQuiesceFault": (
        "the guest's applications could not be quiesced: a script or a VSS writer failed",
        "look at VMware Tools and the writers in the guest; quiesce: \"no\" in the pool's settings takes it crash-consistent",
    ),
    "InaccessibleDatastore": ("a datastore of the machine cannot be reached", _STORAGE),
    "CannotAccessFile": ("a file of the machine cannot be reached", _STORAGE),
    "CannotAccessVmDisk": ("a disk of the machine cannot be reached", _STORAGE),
    "FileLocked": ("a file of the machine is locked", "look which product or host holds it"),
}  # fmt: skip
_FULL = frozenset({"NoDiskSpace", "InsufficientDiskSpace", "StorageNoSpace"})
QUIESCE_FAULTS = frozenset({"FilesystemQuiesceFault", "ApplicationQuiesceFault"})


def told_by(fault: Any) -> str:
    """Return what vCenter says about a fault, redacted and on one line."""
    said = [str(getattr(fault, name, "") or "") for name in ("msg", "reason", "localizedMessage")]
    said += [str(getattr(item, "message", "") or "") for item in getattr(fault, "faultMessage", None) or ()]
    return redact(" ".join("; ".join(dict.fromkeys(text for text in said if text)).split()))[:500]


def reason_of(fault: Any, name: str) -> str:
    """Return in one sentence why a task failed."""
    known = _REFUSALS.get(name) or _BUSY.get(name)
    why = known[0] if known else "a datastore of the machine is full" if name in _FULL else "vCenter gave no reason that is known"
    told = told_by(fault)
    return f"{why} ({name}{': ' + told if told else ''})"


def explain(fault: Any, name: str, method: str, host: str) -> SnapholdError:
    """Return the error for a fault that a call was answered with."""
    told = told_by(fault)
    if name == "InvalidLogin":
        return NotAuthorisedError(f"{host} does not accept the sign-in", told or name, _SIGN_IN)
    if name in ("NotAuthenticated", "NoClientCertificate"):
        return ProviderError(f"{host} ended the session", "nothing was done", "repeat it", retryable=True)
    if name == "NoPermission":
        right = str(getattr(fault, "privilegeId", "") or "a right")
        return NotAuthorisedError(f"{host} does not allow {method}", f"{right} is missing", f"give the account the right {right}")
    if name in ("RestrictedByAdministrator", "PasswordExpired", "AccountLocked"):
        return NotAuthorisedError(f"{host} does not let the account in", told or name, "ask the administrator of vCenter")
    if name in _FULL:
        store = str(getattr(fault, "datastore", "") or "of the machine")
        return CapacityError(f"the datastore {store} is full", reason_of(fault, name), "make room on the datastore")
    if name in _BUSY:
        why, do = _BUSY[name]
        return ProviderError(f"{method} was refused: {why}", told or name, do, retryable=True)
    why, do = _REFUSALS.get(name, ("vCenter refused it", "look into the events of vCenter"))
    return ProviderError(f"{method} was refused: {why}", f"{name}: {told}" if told else name, do)
