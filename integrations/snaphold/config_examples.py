"""The examples of the sections of snaphold.yaml. Together they are one small, complete configuration: the sample."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, Any] = {
    "organisation": {"name": "Example Ltd", "contact": "soc@example.org"},
    "tiers": [
        {
            "id": "T0",
            "level": 0,
            "impact": "No orders can be taken.",
            "rto": "1h",
            "rpo": "15m",
            "acknowledge_within": "15m",
            "approvals": 2,
        },
        {"id": "T1", "level": 1, "impact": "Staff work by hand.", "rto": "8h", "rpo": "4h"},
        {"id": "T2", "level": 2, "impact": "A nuisance for a few days.", "rto": "3d", "rpo": "1d"},
    ],
    "assets": [
        {
            "id": "orders-db",
            "kind": "database",
            "tier": "T0",
            "owner": "team-orders",
            "data_classes": ["personal-data"],
            "tags": {"site": "north"},
            "application": {
                "quiesce": "sqlite",
                "location": "app/orders.db",
                "consistency_query": "select count(*), sum(amount) from entry",
                "expected": "1200|0",
                "freeze_deadline": "2m",
            },
        },
        {
            "id": "orders-web",
            "kind": "application",
            "tier": "T1",
            "owner": "team-orders",
            "depends_on": ["orders-db"],
            "protection": {"paths": ["app/web"]},
        },
        {
            "id": "files-01",
            "kind": "file-share",
            "owner": "it",
            "data_classes": ["personal-data"],
            "protection": {"paths": ["share"], "pool": "isolated-02"},
        },
    ],
    "classification": [
        {
            "name": "personal-data",
            "match": {"kinds": ["file-share", "server"], "data_classes": ["personal-data"]},
            "tier": "T1",
            "why": "Personal data was hit.",
        },
        {"name": "databases", "match": {"kinds": ["database"]}, "tier": "T1", "why": "Databases hold the records."},
        {"name": "everything-else", "match": {"name": "*"}, "tier": "T2", "why": "Nobody asked for more."},
    ],
    "severities": [
        {"severity": 1, "category": "ransomware", "playbook": "ransomware-response", "backup": "full"},
        {"severity": 1, "category": "backup-system-compromised", "playbook": "backup-system-compromised"},
        {"severity": 1, "category": "destructive-deletion", "playbook": "destructive-deletion"},
        {"severity": 1, "category": "cloud-account-compromise", "playbook": "cloud-account-compromise"},
        {"severity": 1, "category": "infrastructure-outage", "playbook": "infrastructure-outage"},
        {"severity": 1, "playbook": "ransomware-response"},
        {"severity": 2, "category": "database-corruption", "playbook": "database-corruption"},
        {"severity": 2, "category": "insider-data-theft", "playbook": "insider-data-theft"},
        {"severity": 2, "category": "infrastructure-outage", "playbook": "infrastructure-outage", "backup": "incremental"},
        {"severity": 2, "playbook": "ransomware-response", "backup": "incremental"},
        {"severity": 3, "category": "legal-hold", "playbook": "legal-hold-only"},
        {"severity": 3, "category": "infrastructure-outage", "playbook": "infrastructure-outage", "backup": "incremental"},
    ],
    "pools": [
        {
            "name": "isolated-01",
            "provider": "restic",
            "location": "pools/isolated-01",
            "password": "file:keys/isolated-01",
            "isolated": True,
            "reserve": 0.1,
        },
        {"name": "isolated-02", "provider": "rclone", "location": "pools/isolated-02", "password": "file:keys/isolated-02"},
    ],
    "routes": [
        {"tiers": ["T0", "T1"], "primary": "isolated-01", "alternate": "isolated-02"},
        {"tiers": ["T2"], "primary": "isolated-02"},
    ],
    "integrations": [
        {
            "name": "itsm",
            "kind": "servicenow",
            "url": "https://example.service-now.com",
            "credentials": {"username": "env:SN_USER", "password": "env:SN_PASSWORD"},
            "owner": "service-desk",
            "contact": "itsm@example.org",
            "review_by": "2027-01-31",
        },
        {
            "name": "paging",
            "kind": "pagerduty",
            "url": "https://api.pagerduty.com",
            "credentials": {"token": "env:PAGERDUTY_TOKEN", "routing_key": "env:PAGERDUTY_ROUTING_KEY"},
            "settings": {"from": "backup@example.org"},
            "owner": "backup-team",
            "contact": "backup@example.org",
            "review_by": "2027-01-31",
        },
    ],
    "people": [
        {
            "id": "ana",
            "name": "Ana Ruiz",
            "title": "SOC analyst",
            "organisation": "Example Ltd",
            "contact": "ana@example.org",
            "logins": ["ana"],
        },
        {"id": "ben", "name": "Ben Oke", "title": "Incident manager", "logins": ["ben"]},
        {"id": "cho", "name": "Cho Min", "title": "Incident manager", "logins": ["cho"]},
        {"id": "dia", "name": "Dia Rao", "title": "CISO", "logins": ["dia"]},
        {"id": "eli", "name": "Eli Roth", "title": "Deputy CISO", "logins": ["eli"]},
        {"id": "fay", "name": "Fay Lund", "title": "Backup administrator", "logins": ["fay"]},
        {"id": "gus", "name": "Gus Hale", "title": "Legal counsel", "logins": ["gus"]},
    ],
    "roles": [
        {
            "name": "soc-analyst",
            "members": ["ana"],
            "may": ["triage.*", "authority.*", "backup.*", "evidence.*", "hold.place", "escalation.*", "report.*"],
        },
        {"name": "incident-managers", "members": ["ben", "cho"], "may": ["*"]},
        {"name": "ciso-oncall", "members": ["dia", "eli"], "may": ["authority.*", "escalation.*", "report.*"]},
        {"name": "backup-team", "members": ["fay"], "may": ["backup.*", "escalation.*"]},
        {
            "name": "legal-counsel",
            "members": ["gus"],
            "may": ["hold.place", "evidence.verify", "escalation.acknowledge", "report.*"],
        },
        {"name": "backup-emergency", "may": ["backup.start"]},
    ],
    "authority": {"grant_required": ["backup.start"], "longest_grant": "8h"},
    "evidence": {
        "store": "evidence",
        "trust": "trust",
        "identity": "custodian@soc",
        "signing_key": "file:keys/custodian",
    },
    "retention": [
        {"data_class": "personal-data", "keep": "30d", "basis": "GDPR article 5(1)(e)"},
        {"keep": "365d", "basis": "Backup policy, section 4"},
    ],
    "contacts": [
        {"role": "backup-team", "name": "Backup on-call", "reach": "+44 20 5550 0100", "review_by": "2027-01-31"},
        {"role": "incident-managers", "name": "Incident manager on duty", "reach": "+44 20 5550 0101", "review_by": "2027-01-31"},
        {"role": "ciso-oncall", "name": "CISO on call", "reach": "+44 20 5550 0102", "review_by": "2027-01-31"},
        {"role": "legal-counsel", "name": "Gus Hale", "reach": "+44 20 5550 0103", "review_by": "2027-01-31"},
    ],
}
