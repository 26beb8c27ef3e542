"""Retention, holds and the chain of custody of evidence whose vault is a bucket with Object Lock."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from snaphold.actions.evidence import SealEvidence, VerifyEvidence, seal, verify
from snaphold.actions.hold import PlaceHold, ReleaseHold, place, release
from snaphold.actions.retention import ExtendRetention, extend_retention
from snaphold.authority import issue_grant
from snaphold.clock import SystemClock
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.retention import Retention
from snaphold.domain.value import Value
from snaphold.evidence.custody import append_record
from snaphold.evidence.custody_record import CustodyEvent, CustodyNote
from snaphold.evidence.signature import load_signer
from snaphold.providers import registry
from snaphold.vault.registry import open_vault
from support.fake_provider import FakeProvider
from support.ledgers import configure, make_context, note, open_test_ledger
from support.seaweed import ADMIN, VAULT, WRITER, Seaweed
from support.vault_rigs import s3_settings

pytestmark = pytest.mark.slow
POOL = {"name": "isolated-01", "provider": "fake", "location": "pool", "password": "env:NOTHING"}
ROLES = [
    {"name": "analyst", "members": ["ana"], "may": ["hold.*", "evidence.*", "retention.*"]},
    {"name": "counsel", "members": ["ben"], "may": ["hold.release"]},
]


@pytest.fixture
def context(tmp_path: Path, seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Context:
    """An incident with one sealed package in the bucket."""
    share = tmp_path / "share"
    share.mkdir()
    (share / "a.txt").write_text("words " * 100)
    provider = FakeProvider(tmp_path / "fake")

    def open_fake(*_: object) -> object:
        return provider.as_provider()

    monkeypatch.setattr(registry, "open_provider", open_fake)
    configuration = configure(tmp_path, pools=[POOL], roles=ROLES, evidence={"vault": s3_settings(seaweed)})
    ledger = open_test_ledger(tmp_path, SystemClock())
    ledger.append(note(incident="INC-1"), [provider.back_up(share, "RP-files-01-00000001")])
    made = make_context(configuration, ledger, SystemClock(), justification="Ransomware")
    seal(SealEvidence(), made)
    settle(made)
    return made


def settle(context: Context) -> list[Value]:
    """Write what an action staged, as `execute` does; return it."""
    staged = [record for record in context.staged if not isinstance(record, RestorePoint)]
    context.ledger.append(note(incident="INC-1"), staged)
    context.staged.clear()
    return staged


def evidence(context: Context) -> EvidenceRecord:
    return context.ledger.records(EvidenceRecord, "INC-1")[0]


def versions(context: Context) -> list[dict[str, str]]:
    """Return every version in the bucket that belongs to the package, its copied custody logs included."""
    record = evidence(context)
    assert record.vault is not None
    pages = Seaweed.client(_store(context), ADMIN).get_paginator("list_object_versions")
    prefix = record.vault.prefix.rstrip("/")
    found = [item for page in pages.paginate(Bucket=VAULT, Prefix=prefix) for item in page.get("Versions", [])]
    return [{"Bucket": VAULT, "Key": item["Key"], "VersionId": item["VersionId"]} for item in found]


def _store(context: Context) -> Any:
    class Store:
        endpoint = context.configuration.evidence.vault.endpoint

    return Store()


def hold_of(client: Any, item: dict[str, str]) -> str:
    """Return ON or OFF; a version on which no hold was ever set has none."""
    from botocore.exceptions import ClientError

    try:
        return str(client.get_object_legal_hold(**item)["LegalHold"]["Status"])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchObjectLegalHold":
            raise
        return "OFF"


def grant(context: Context) -> None:
    issue_grant(context, role="counsel", lasts=timedelta(hours=1), approvers=("ben",), approval_id="APR-1")


def test_an_open_case_extends_the_lock_of_every_object_and_never_shortens_it(context: Context, seaweed: Seaweed) -> None:
    client = seaweed.client(ADMIN)
    result = extend_retention(ExtendRetention(subjects=[evidence(context).id], at_least=timedelta(hours=1)), context)
    assert result.outcome is Outcome.SUCCEEDED
    kept = next(item for item in settle(context) if isinstance(item, Retention))
    assert kept.enforced_by.startswith("S3 Object Lock: governance at least until ")
    assert kept.until == kept.enforced_until
    first = [client.get_object_retention(**item)["Retention"]["RetainUntilDate"] for item in versions(context)]
    assert all(until >= kept.until for until in first)
    again = replace(context, key="INC-1/again/-/1")
    extend_retention(ExtendRetention(subjects=[evidence(context).id], at_least=timedelta(seconds=60)), again)
    assert [client.get_object_retention(**item)["Retention"]["RetainUntilDate"] for item in versions(context)] == first


def test_a_store_that_is_out_of_reach_leaves_the_register_and_is_said(context: Context) -> None:
    record = evidence(context)
    assert record.vault is not None
    down = record.vault.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    context.ledger.append(note(incident="INC-1"), [record.model_copy(update={"vault": down})])
    settings: dict[str, Any] = context.configuration.evidence.vault.model_dump(mode="json")
    vault = {**settings, "endpoint": "http://127.0.0.1:9", "attempts": 1}
    configuration = configure(context.configuration.base, sign=False, pools=[POOL], roles=ROLES, evidence={"vault": vault})
    result = extend_retention(ExtendRetention(subjects=[record.id]), replace(context, configuration=configuration))
    assert result.outcome is Outcome.PARTIAL
    assert "by the register only" in result.findings[0]


def test_placing_and_releasing_a_hold_is_in_the_custody_log_of_the_vault(context: Context, seaweed: Seaweed) -> None:
    client, record = seaweed.client(WRITER), evidence(context)
    placed = place(PlaceHold(subjects=[record.id], reason="Court order"), context)
    assert (placed.outcome, placed.findings) == (Outcome.SUCCEEDED, [])
    settle(context)
    held = versions(context)
    assert any(".custody/000003-" in item["Key"] for item in held)
    assert {hold_of(client, item) for item in held} == {"ON"}
    grant(context)
    released = release(
        ReleaseHold(holds=placed.holds, reason="The court is done"),
        replace(context, key="INC-1/release/-/1", staged=context.staged),
    )
    assert (released.outcome, released.findings, released.free) == (Outcome.SUCCEEDED, [], [record.id])
    settle(context)
    assert {hold_of(client, item) for item in versions(context)} == {"OFF"}
    back = open_vault(context.configuration, context.clock).read_back(
        record.id, context.configuration.base / "back", recorded=record.vault
    )
    log = (back.folder / "custody/custody.jsonl").read_text()
    assert '"event":"hold_placed"' in log
    assert '"event":"hold_released"' in log
    assert '"approvers":["ben"]' in log
    checked = verify(VerifyEvidence(evidence=record.id), context)
    assert (checked.status, checked.faults) == ("verified", [])


def test_a_lost_working_copy_comes_back_with_its_whole_chain_of_custody(context: Context) -> None:
    record = evidence(context)
    place(PlaceHold(subjects=[record.id], reason="Court order"), context)
    before = (Path(record.path) / "custody/custody.jsonl").read_bytes()
    Path(record.path).rename(context.configuration.base / "lost")
    found = open_vault(context.configuration, context.clock).find(record.id)
    assert found is not None
    assert (found / "custody/custody.jsonl").read_bytes() == before


def test_a_forged_custody_log_in_the_bucket_is_named_and_not_believed(context: Context, seaweed: Seaweed) -> None:
    record = evidence(context)
    place(PlaceHold(subjects=[record.id], reason="Court order"), context)
    assert record.vault is not None
    log = (Path(record.path) / "custody/custody.jsonl").read_bytes() + b'{"forged":true}\n'
    digest = hashlib.sha256(log).hexdigest()
    prefix = f"{record.vault.prefix.rstrip('/')}.custody/000004-{digest[:16]}/"
    text = f"snaphold custody checkpoint v1\nlog: INC-1/{record.id}\nrecords: 4\nbytes: {len(log)}\nsha256: {digest}\n".encode()
    writer = seaweed.client(WRITER)
    for name, body in (("custody.jsonl", log), ("checkpoint-000004", text), ("checkpoint-000004.sig", b"no signature")):
        writer.put_object(Bucket=VAULT, Key=prefix + name, Body=body)
    back = open_vault(context.configuration, context.clock).read_back(
        record.id, context.configuration.base / "back", recorded=record.vault
    )
    assert b"forged" not in (back.folder / "custody/custody.jsonl").read_bytes()
    assert b"hold_placed" in (back.folder / "custody/custody.jsonl").read_bytes()
    assert any("000004-" in text and "not believed" in text for text in back.notes)
    checked = verify(VerifyEvidence(evidence=record.id), context)
    assert (checked.status, checked.faults) == ("verified", [])


def test_copying_the_log_twice_puts_nothing_new(context: Context) -> None:
    record = evidence(context)
    vault = open_vault(context.configuration, context.clock)
    custody = CustodyNote(case_id="INC-1", evidence_id=record.id, event=CustodyEvent.ACCESSED, reason="an expert looked at it")
    append_record(Path(record.path), custody, context.clock, load_signer(context.configuration))
    first = vault.mirror_custody(record.id)
    count = len(versions(context))
    assert vault.mirror_custody(record.id) == first
    assert len(versions(context)) == count
    assert first.startswith(f"s3://{VAULT}/")


def test_a_copied_log_is_locked_as_long_as_the_package_was_extended(context: Context, seaweed: Seaweed) -> None:
    record = evidence(context)
    vault = open_vault(context.configuration, context.clock)
    later = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=1)
    vault.extend_retention(record.id, later)
    place(PlaceHold(subjects=[record.id], reason="Court order"), context)
    copied = [item for item in versions(context) if ".custody/" in item["Key"]]
    assert copied
    for item in copied:
        assert seaweed.client(ADMIN).get_object_retention(**item)["Retention"]["RetainUntilDate"] >= later
