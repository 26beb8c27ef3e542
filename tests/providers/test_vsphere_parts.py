"""vSphere without a vCenter: names, descriptions, what faults mean, what is missing."""

from __future__ import annotations

import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from snaphold.clock import SystemClock
from snaphold.config import Configuration
from snaphold.domain.outcome import Outcome
from snaphold.errors import CapacityError, InputError, MissingToolError, NotAuthorisedError, ProviderError, SnapholdError
from snaphold.providers.registry import open_provider
from snaphold.providers.vsphere import RIGHTS
from snaphold.providers.vsphere_faults import explain, reason_of
from snaphold.providers.vsphere_notes import TaskNote, keep_note, read_note
from snaphold.providers.vsphere_snapshots import Facts, describe, digest_of, our_snapshots, restore_point, snapshot_name
from snaphold.providers.vsphere_soap import check_version
from support.golden import ROOT
from support.incident_context import make_configuration

KEY = "INC-1/snapshot_wave.start/orders-db/1"
FACTS = Facts(
    key=KEY, incident="INC-1", asset="orders-db", pool="vm-01", bytes=10, tools_running=True, quiesce=True, encryption="none"
)
NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)


def tree(facts: Facts = FACTS, *children: Any, id: str = "snapshot-1", **changes: Any) -> Any:
    node = {
        "name": snapshot_name(facts.key, facts.asset),
        "description": describe(facts),
        "snapshot": SimpleNamespace(_moId=id),
        "createTime": NOW,
        "quiesced": True,
        "state": "poweredOn",
        "childSnapshotList": list(children),
    }
    return SimpleNamespace(**{**node, **changes})


def configuration(folder: Path, url: str = "https://vcenter.example.org", **settings: str) -> Configuration:
    integration = {
        "name": "vc",
        "kind": "vsphere",
        "url": url,
        "credentials": {"username": "env:VC_USER", "password": "env:VC_PASSWORD"},
    }
    pool = {"name": "vm-01", "provider": "vsphere", "location": "ds-01", "integration": "vc", "settings": settings}
    return make_configuration(pools=[pool], integrations=[integration]).placed_at(folder)


def connect(folder: Path, **settings: str) -> object:
    made = configuration(folder, **settings)
    return open_provider(made.pools[0], made, "INC-1", SystemClock())


@given(st.text(min_size=1, max_size=300), st.from_regex(r"[a-z][a-z0-9-]{0,127}", fullmatch=True))
def test_a_snapshot_is_found_again_by_its_name_whatever_the_key(key: str, asset: str) -> None:
    facts = FACTS.model_copy(update={"key": key.strip() or "k", "asset": asset})
    node = tree(facts)
    assert len(node.name) <= 80
    (found,) = our_snapshots("vm-1", [node])
    assert found.digest == digest_of(facts.key)
    assert found.facts == facts
    assert found.reference == "vm-1/snapshot-1"


def test_snapshots_of_others_are_passed_over_and_children_are_searched() -> None:
    other = tree(name="before the upgrade", description="", id="snapshot-9")
    found = our_snapshots("vm-1", [tree(FACTS, other, tree(id="snapshot-3", createTime=NOW + timedelta(seconds=1)))])
    assert [item.id for item in found] == ["snapshot-1", "snapshot-3"]
    deep = tree(id="snapshot-0")
    for number in range(600):
        deep = tree(FACTS, deep, name=f"level {number}", id=f"level-{number}")
    assert our_snapshots("vm-1", [deep]) == []  # vSphere allows 32 levels; a tree without end is not followed


@pytest.mark.parametrize("description", ["", "{}", "edited by hand", describe(FACTS.model_copy(update={"key": "another"}))])
def test_a_changed_description_is_not_believed(description: str) -> None:
    (found,) = our_snapshots("vm-1", [tree(description=description)])
    assert found.facts is None


@pytest.mark.parametrize(
    ("facts", "state", "quiesced", "outcome", "said"),
    [
        ({}, "poweredOn", True, Outcome.SUCCEEDED, "file-system-consistent"),
        ({}, "poweredOff", False, Outcome.SUCCEEDED, "at rest"),
        ({"tools_running": False}, "poweredOn", True, Outcome.PARTIAL, "crash-consistent"),
        ({"quiesce": False}, "poweredOn", False, Outcome.PARTIAL, "crash-consistent"),
        ({}, "suspended", False, Outcome.PARTIAL, "crash-consistent"),
    ],
)
def test_consistency_is_never_more_than_was_done(
    facts: dict[str, bool], state: str, quiesced: bool, outcome: Outcome, said: str
) -> None:
    made = FACTS.model_copy(update=facts)
    (found,) = our_snapshots("vm-1", [tree(made, state=state, quiesced=quiesced)])
    point = restore_point(found, made, "VMware vCenter Server")
    assert (point.outcome, point.consistency.split(":")[0]) == (outcome, said)
    assert "is no backup" in point.findings[0]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("InvalidLogin", NotAuthorisedError, "does not accept the sign-in"),
        ("NoPermission", NotAuthorisedError, "does not allow"),
        ("PasswordExpired", NotAuthorisedError, "does not let the account in"),
        ("NoDiskSpace", CapacityError, "ds-01 is full"),
        ("InaccessibleDatastore", ProviderError, "cannot be reached"),
        ("FilesystemQuiesceFault", ProviderError, "could not be quiesced"),
        ("TaskInProgress", ProviderError, "another task"),
        ("NotAuthenticated", ProviderError, "ended the session"),
        ("ManagedObjectNotFound", ProviderError, "no longer in vCenter"),
        ("SomethingNew", ProviderError, "vCenter refused it"),
    ],
)
def test_each_fault_says_what_it_means_and_what_to_do(name: str, kind: type[SnapholdError], words: str) -> None:
    fault = SimpleNamespace(msg="told by vCenter", privilegeId="VirtualMachine.State.CreateSnapshot", datastore="ds-01")
    error = explain(fault, name, "CreateSnapshot_Task", "vcenter")
    assert type(error) is kind
    assert words in str(error)
    assert error.why
    assert error.do
    assert name in reason_of(fault, name)


def test_an_old_api_is_refused() -> None:
    check_version(SimpleNamespace(apiVersion="6.5", fullName="vCenter"), "host")
    check_version(SimpleNamespace(apiVersion="8.0.3.0", fullName="vCenter"), "host")
    for version in ("6.0", "5.5", "", "x"):
        with pytest.raises(ProviderError, match="too old"):
            check_version(SimpleNamespace(apiVersion=version, fullName="vCenter"), "host")


def test_without_pyvmomi_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VC_USER", "backup")
    monkeypatch.setenv("VC_PASSWORD", "a-password")
    monkeypatch.setitem(sys.modules, "pyVmomi", None)
    with pytest.raises(MissingToolError) as caught:
        connect(tmp_path)
    assert caught.value.do == "pip install 'snaphold[vsphere]'"


@pytest.mark.parametrize(
    "settings", [{"growth": "0"}, {"growth": "2"}, {"growth": "much"}, {"growth": "nan"}, {"quiesce": "maybe"}]
)
def test_a_wrong_setting_is_named(settings: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        connect(tmp_path, **settings)


def test_a_missing_credential_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VC_USER", raising=False)
    with pytest.raises(InputError) as caught:
        connect(tmp_path)
    assert "VC_USER" in str(caught.value)


def test_a_note_is_kept_and_a_damaged_one_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    note = TaskNote(machine="vm-1", task="task-2")
    keep_note(tmp_path / "notes", "0" * 16, note)
    assert read_note(tmp_path / "notes", "0" * 16) == note
    (tmp_path / "notes" / f"{'0' * 16}.json").write_text("{")
    assert read_note(tmp_path / "notes", "0" * 16) is None
    (tmp_path / "a file").write_text("")
    keep_note(tmp_path / "a file", "0" * 16, note)
    assert "found by its name" in caplog.text


def test_the_how_to_shows_a_configuration_that_is_valid() -> None:
    page = (ROOT / "docs/how-to/connect-vsphere.md").read_text(encoding="utf-8")
    shown: dict[str, Any] = {}
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        shown |= yaml.safe_load(block)
    made = make_configuration(**shown)
    assert made.integrations[0].kind == made.pools[0].provider == "vsphere"
    assert made.assets[0].protection.pool == made.pools[0].name
    for right in RIGHTS:
        assert right in page
