"""Where a person does in a vendor's own console what an action does: for the day on which only the console is left.

The paths follow the vendors' general documentation. Nobody of us has walked them in a console, names differ between
versions, and what has no path there is left out; the runbook says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NOT_VERIFIED = "From the vendors' general documentation, not verified in a console; names differ between versions."
VEEAM, COMMVAULT, AWS_BACKUP, AWS_EBS = "Veeam Backup & Replication", "Commvault Command Center", "AWS Backup", "Amazon EC2"
VSPHERE, SERVICENOW, PAGERDUTY = "vSphere Client", "ServiceNow", "PagerDuty"

PATHS: Mapping[str, Mapping[str, str]] = {
    "backup.check_capacity": {
        VEEAM: "Backup Infrastructure > Backup Repositories: columns Capacity and Free",
        COMMVAULT: "Storage > Disk (or Cloud) > the storage: free space",
        VSPHERE: "Storage > the datastore > Summary: free space",
    },
    "backup.check_health": {
        VEEAM: "Home > Last 24 Hours > Failed and Warning; Backup Infrastructure > Backup Repositories",
        COMMVAULT: "Jobs > Job history, failed ones; Storage > Disk: status",
        AWS_BACKUP: "Jobs > Backup jobs, status Failed; the AWS Health Dashboard",
        AWS_EBS: "Elastic Block Store > Snapshots, status Error; the AWS Health Dashboard",
        VSPHERE: "the vCenter > Monitor > Issues and Alarms",
    },
    "backup.start": {
        VEEAM: "Inventory > the virtual machine > VeeamZIP; or Home > Jobs > the job > Active Full",
        COMMVAULT: "Protect > Virtualization > Virtual machines > the machine > Back up",
        AWS_BACKUP: "Protected resources > Create on-demand backup",
        AWS_EBS: "Elastic Block Store > Snapshots > Create snapshot",
        VSPHERE: "VMs and Templates > the machine > Actions > Snapshots > Take Snapshot",
    },
    "backup.status": {
        VEEAM: "Home > Last 24 Hours > Running > the job > Statistics",
        COMMVAULT: "Jobs > Active jobs",
        AWS_BACKUP: "Jobs > Backup jobs",
        AWS_EBS: "Elastic Block Store > Snapshots: columns Status and Progress",
        VSPHERE: "Recent Tasks, at the bottom of the window",
    },
    "backup.verify": {
        VEEAM: "Home > Jobs > SureBackup; or Home > Backups > the backup > Scan Backup",
        COMMVAULT: "Storage > Disk > the storage > Run data verification; then restore out of place and look",
        AWS_BACKUP: "Backup vaults > the vault > the recovery point > Restore, as a new resource",
        AWS_EBS: "Elastic Block Store > Snapshots > Actions > Create volume from snapshot, then mount it elsewhere",
        VSPHERE: "the machine > Snapshots > the snapshot > Clone, without a network",
    },
    "backup.publish": {
        VEEAM: "Home > Backups > the backup > Restore guest files, or Publish disks",
        COMMVAULT: "Protect > Virtualization > the machine > Restore > Live mount",
        VSPHERE: "the machine > Snapshots > the snapshot > Clone, without a network",
    },
    "backup.end_publication": {
        VEEAM: "Home > Instant Recovery (or Published disks) > the session > Stop publishing",
        COMMVAULT: "Protect > Virtualization > Live mounts > the machine > Unmount",
    },
    "backup.mark_infected": {VEEAM: "Home > Backups > the backup > Properties > the restore point > Mark as infected"},
    "backup.delete": {
        VEEAM: "Home > Backups > the backup > Delete from disk",
        COMMVAULT: "Jobs > Job history > the job > Delete",
        AWS_BACKUP: "Backup vaults > the vault > the recovery point > Actions > Delete",
        AWS_EBS: "Elastic Block Store > Snapshots > the snapshot > Actions > Delete snapshot",
        VSPHERE: "the machine > Snapshots > the snapshot > Delete",
    },
    "hold.place": {
        VEEAM: "Home > Backups > the backup > Export backup, kept long; and note that the repository is immutable",
        COMMVAULT: "Jobs > Job history > the job > Retain job, without end",
        AWS_BACKUP: "Legal holds > Add legal hold",
        AWS_EBS: "Elastic Block Store > Snapshots > Actions > Snapshot settings > Manage lock",
    },
    "hold.release": {
        COMMVAULT: "Jobs > Job history > the job > Retain job: set an end",
        AWS_BACKUP: "Legal holds > the hold > Release legal hold",
    },
    "retention.extend": {
        VEEAM: "Home > Backups > the backup > Export backup, with a retention of its own",
        COMMVAULT: "Jobs > Job history > the job > Retain job",
        AWS_BACKUP: "Backup vaults > the vault > the recovery point > Edit lifecycle",
        AWS_EBS: "Elastic Block Store > Snapshots > Actions > Snapshot settings > Manage lock",
    },
    "escalation.notify": {PAGERDUTY: "Incidents > New Incident"},
    "escalation.status": {PAGERDUTY: "Incidents > the incident > Timeline"},
    "escalation.acknowledge": {PAGERDUTY: "Incidents > the incident > Acknowledge"},
    "escalation.end_page": {PAGERDUTY: "Incidents > the incident > Resolve"},
    "incident.read": {SERVICENOW: "All > Incident > All > the number", PAGERDUTY: "Incidents > the incident"},
    "incident.add_note": {
        SERVICENOW: "All > Incident > All > the number > Notes > Work notes > Post",
        PAGERDUTY: "Incidents > the incident > Notes > Add Note",
    },
    "incident.set_status": {
        SERVICENOW: "All > Incident > All > the number > State, then Update",
        PAGERDUTY: "Incidents > the incident > Acknowledge, or Resolve",
    },
    "change.open_emergency": {SERVICENOW: "All > Change > Create New > Emergency"},
    "change.close": {SERVICENOW: "All > Change > Open > the number > Close"},
    "change.cover": {SERVICENOW: "All > Change > Standard Change > Standard Change Catalog; or Create New > Emergency"},
    "change.close_opened": {SERVICENOW: "All > Change > Open > the number > Close"},
    "change.check_standard": {SERVICENOW: "All > Change > Standard Change > Standard Change Catalog"},
    "triage.read_dependencies": {SERVICENOW: "All > Configuration > the item > Dependency Views"},
}


def console_of(action: str, own: str) -> str:
    """Return what stands beside an action's command: its own path, or where the vendors' paths are listed."""
    return own or (f"see Consoles at the end, under {action}" if action in PATHS else "")


def console_rows(actions: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return (action, product, path) for those of the actions that have paths, in order of action."""
    return [
        (action, product, path) for action in sorted(set(actions)) for product, path in PATHS.get(action, {}).items()
    ]  # fmt: skip
