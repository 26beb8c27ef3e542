"""The incident fields of the pack. The integration reads three of them; compiled playbooks write the others."""

from __future__ import annotations

from dataclasses import dataclass

TYPE = "Snaphold Request"
LAYOUT = "Snaphold Request"
INCIDENT, ASSETS, CATEGORY = "snapholdincident", "snapholdassets", "snapholdcategory"
OUTCOME, TIMER = "snapholdoutcome", "snapholdtimetobackup"


@dataclass(frozen=True)
class IncidentField:
    """One field; `kind` is XSOAR's type, `choices` are those of a single select."""

    cli_name: str
    title: str
    kind: str
    about: str
    choices: tuple[str, ...] = ()


FIELDS = (
    IncidentField(ASSETS, "Snaphold Assets", "shortText", "The assets in scope, with commas."),
    IncidentField(CATEGORY, "Snaphold Category", "shortText", "What kind of incident it is; left out, the incident type."),
    IncidentField(
        INCIDENT, "Snaphold Incident", "shortText", "The incident's id in the Snaphold service; left out, XSOAR-NUMBER."
    ),
    IncidentField("snapholdtier", "Snaphold Tier", "shortText", "The most critical tier among the assets."),
    IncidentField(OUTCOME, "Snaphold Outcome", "singleSelect", "How the playbook ended.", ("", "done", "failed")),
    IncidentField("snapholdevidence", "Snaphold Evidence", "shortText", "The sealed evidence."),
    IncidentField("snapholdholds", "Snaphold Holds", "longText", "The legal holds that were placed."),
    IncidentField(TIMER, "Snaphold Time To Backup", "timer", "From the start of the playbook to its end."),
)
SHOWN = {
    ("triage.classify_assets", "top_tier"): "Snaphold Tier",
    ("evidence.seal", "evidence"): "Snaphold Evidence",
    ("hold.place", "holds"): "Snaphold Holds",
}
"""Which output of which action is shown in which field, by its title."""
