from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from snaphold.config import load_configuration
from snaphold.config_review import review
from snaphold.config_sample import sample_text
from support.incident_context import make_configuration

TODAY = date(2026, 11, 22)
POOL: dict[str, Any] = {"name": "p1", "provider": "restic", "location": "pool", "password": "env:SNAPHOLD_TEST_UNSET"}

KINDS = {"itsm": "servicenow", "paging": "pagerduty"}


def found(part: str, tmp_path: Path, **changes: Any) -> list[str]:
    configuration = make_configuration(**changes).placed_at(tmp_path)
    return [finding.text for finding in review(configuration, TODAY) if finding.part == part]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNAPHOLD_TEST_UNSET", raising=False)


def test_a_complete_estate_has_no_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("restic", "rclone"):
        (programs / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(programs))
    for folder in ("app/web", "share", "keys"):
        (tmp_path / folder).mkdir(parents=True)
    for key in ("isolated-01", "isolated-02", "custodian"):
        (tmp_path / "keys" / key).touch(mode=0o600)
    names = ("SN_USER", "SN_PASSWORD", "PAGERDUTY_TOKEN", "PAGERDUTY_ROUTING_KEY", "VEEAM_USER", "VEEAM_PASSWORD")
    for name in names:
        monkeypatch.setenv(name, "set")
    more = "".join(f"  - {{severity: {severity}, playbook: ransomware-response}}\n" for severity in (3, 4, 5))
    text = sample_text().replace("severities:\n", f"severities:\n{more}")
    text = text.replace("tiers: [T2]\n", "tiers: [T2]\n    alternate: isolated-01\n")
    (tmp_path / "snaphold.yaml").write_text(text, encoding="utf-8")
    assert review(load_configuration(tmp_path / "snaphold.yaml"), TODAY) == []


def test_integrations_without_owner_review_date_or_secret_are_named(tmp_path: Path) -> None:
    bare = {"name": "itsm", "kind": "servicenow", "url": "https://itsm.example.org"}
    old = {
        "name": "old", "owner": "noc", "contact": "noc@example.org", "review_by": "2020-01-01",
        "ca_file": "none.pem", "credentials": {"token": "env:NOT_SET_ANYWHERE"},
    }  # fmt: skip
    found_texts = [
        finding.text
        for finding in review(
            make_configuration(
                integrations=[bare, {**bare, **old}]
            ).placed_at(tmp_path),
            TODAY,
        )
        if finding.part == "integrations"
    ]  # fmt: skip
    assert found_texts == [
        "itsm has no owner or no contact: nobody answers for it",
        "itsm has no review date",
        "old was to be reviewed by 2020-01-01",
        "the certificate file none.pem of old does not exist",
        "the token of old is missing: the environment variable NOT_SET_ANYWHERE is not set",
    ]


def test_an_integration_that_is_reached_without_encryption_is_named(tmp_path: Path) -> None:
    plain = {"name": "itsm", "kind": "servicenow", "url": "http://itsm.example.org", "owner": "a", "contact": "b",
             "review_by": "2099-01-01"}  # fmt: skip
    assert found("integrations", tmp_path, integrations=[plain]) == [
        "itsm is reached without encryption, its password too: http://itsm.example.org"
    ]


@pytest.mark.parametrize(
    ("named", "texts"),
    [
        ("itsm", []),
        (
            "itms",
            ["change names the unknown integration 'itms' (did you mean \"itsm\"?): no emergency change can be opened"],
        ),
        ("paging", ["change names paging, a pagerduty, which knows no changes; kinds that do: servicenow"]),
    ],
)
def test_a_change_rule_that_can_open_nothing_is_named(named: str, texts: list[str], tmp_path: Path) -> None:
    both = [{"name": name, "kind": kind, "url": "https://x.example.org"} for name, kind in KINDS.items()]
    assert found("authority", tmp_path, integrations=both, authority={"change": {"integration": named}}) == texts


def test_assets_that_nobody_classified_are_named(tmp_path: Path) -> None:
    assert found("assets", tmp_path)[0].startswith("nobody classified files-01: ")


def test_assets_of_which_nothing_is_backed_up_are_named(tmp_path: Path) -> None:
    assert "nothing is backed up of shop, orders-db, files-01" in found("assets", tmp_path)[1]


def test_assets_that_go_to_a_backup_product_need_no_paths(tmp_path: Path) -> None:
    pool = {"name": "vendor", "provider": "veeam", "location": "Incident 01", "integration": "vbr"}
    integration = {"name": "vbr", "kind": "veeam", "url": "https://vbr01.example.org"}
    routes = [{"tiers": ["T0"], "primary": "vendor"}]
    texts = found("assets", tmp_path, pools=[pool], integrations=[integration], routes=routes)
    assert "nothing is backed up of orders-db, files-01" in texts[1]


def test_unknown_quiesce_adapters_and_unproved_copies_are_named(tmp_path: Path) -> None:
    assets = [{"id": "db", "kind": "database", "owner": "x", "tier": "T0",
               "application": {"quiesce": "sqlte", "location": "x.db"}}]  # fmt: skip
    texts = found("assets", tmp_path, assets=assets)
    assert texts[0].startswith("no consistency query with an expected answer for db")
    assert texts[1] == "db names the unknown quiesce adapter 'sqlte' (did you mean \"sqlite\"?)"


def test_dependencies_that_are_unknown_or_go_in_a_circle_are_named(tmp_path: Path) -> None:
    assets = [
        {"id": "a", "kind": "server", "owner": "x", "depends_on": ["b", "gone"]},
        {"id": "b", "kind": "server", "owner": "x", "depends_on": ["a"]},
    ]
    texts = found("dependencies", tmp_path, assets=assets)
    assert texts == ["dependencies that nobody defined: a needs gone", "assets depend on each other in a circle: a → b → a"]


def test_tiers_without_a_route_are_named(tmp_path: Path) -> None:
    routes = [{"tiers": ["T0"], "primary": "p1"}]
    assert found("routes", tmp_path, pools=[POOL], routes=routes) == ["no route for T1, T2", "no alternate pool for T0"]
    assert found("routes", tmp_path)[0] == "there is no pool, so nothing can be backed up"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"isolated": False}, "p1 is not isolated"),
        ({"compromised": True}, "p1 is marked compromised"),
        ({"provider": "resticc"}, "unknown provider 'resticc' (did you mean \"restic\"?)"),
        ({"program": "/nowhere/restic"}, "needs the program /nowhere/restic, which is not found"),
        ({}, "the environment variable SNAPHOLD_TEST_UNSET is not set"),
        ({"password": "file:keys/p1"}, "keys/p1: No such file or directory"),
    ],
)
def test_what_is_wrong_with_a_pool_is_named(changes: dict[str, Any], text: str, tmp_path: Path) -> None:
    assert any(text in found_text for found_text in found("pools", tmp_path, pools=[{**POOL, **changes}]))


def test_a_key_that_others_can_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/custodian").touch(mode=0o644)
    assert found("evidence", tmp_path) == [f"the signing key can be read by others: chmod 600 {tmp_path}/keys/custodian"]


def test_contacts_whose_review_is_due_are_named(tmp_path: Path) -> None:
    contact = {"role": "backup-team", "name": "On-call", "reach": "1"}
    expired = {**contact, "review_by": "2026-11-21"}
    today = {**contact, "review_by": "2026-11-22"}
    texts = found("contacts", tmp_path, contacts=[expired, today, contact])
    assert texts == ["backup-team (On-call) was to be reviewed by 2026-11-21", "backup-team (On-call) has no review date"]


def test_playbooks_that_do_not_exist_and_severities_without_one_are_named(tmp_path: Path) -> None:
    texts = found("severities", tmp_path, severities=[{"severity": 1, "playbook": "ransomware-respnse"}])
    assert texts[0].startswith("incidents of severity 2, 3, 4, 5 ")
    assert "the playbook 'ransomware-respnse' is not found" in texts[1]


def test_tiers_that_contradict_their_order_are_named(tmp_path: Path) -> None:
    tiers = [
        {"id": "T0", "level": 0, "impact": "x", "rto": "8h", "rpo": "1h"},
        {"id": "T1", "level": 1, "impact": "x", "rto": "1h", "rpo": "1h"},
        {"id": "T2", "level": 1, "impact": "x", "rto": "1h", "rpo": "1h"},
    ]
    texts = found("tiers", tmp_path, tiers=tiers)
    assert texts == [
        "T0 is more critical than T1, but allows a longer recovery (rto or rpo)",
        "T1 and T2 have the same level 1: neither is more critical",
    ]


def test_a_person_of_a_webhook_needs_no_login(tmp_path: Path) -> None:
    webhook = {"name": "monitoring", "kind": "alertmanager", "secrets": ["env:SNAPHOLD_TEST_UNSET"], "person": "ben",
               "check": "bearer", "severity": 2, "category": "anomaly"}  # fmt: skip
    assert found("people", tmp_path, webhooks=[webhook])[0] == "no login for ana: they cannot act on this machine"


def test_people_who_cannot_act_are_named(tmp_path: Path) -> None:
    texts = found("people", tmp_path, roles=[{"name": "empty"}])
    assert texts == [
        "no login for ana, ben: they cannot act on this machine",
        "roles without members: empty",
        "people without a role: ana, ben",
    ]
