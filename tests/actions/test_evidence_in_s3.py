"""Sealing, verifying and holding evidence whose vault is a bucket."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snaphold.actions.evidence import SealEvidence, VerifyEvidence, seal, verify
from snaphold.actions.hold import PlaceHold, place
from snaphold.clock import SystemClock
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord, Hold
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, StorageError
from snaphold.evidence.custody import parse_record, split_lines
from snaphold.providers import registry
from support.fake_provider import FakeProvider
from support.ledgers import configure, make_context, note, open_test_ledger
from support.seaweed import ADMIN, PLAIN, VAULT, WRITER, Seaweed
from support.vault_rigs import s3_settings

pytestmark = pytest.mark.slow
POOL = {"name": "isolated-01", "provider": "fake", "location": "pool", "password": "env:NOTHING"}


@pytest.fixture
def context(tmp_path: Path, seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> Context:
    share = tmp_path / "share"
    share.mkdir()
    (share / "a.txt").write_text("words " * 100)
    provider = FakeProvider(tmp_path / "fake")

    def open_fake(*_: object) -> object:
        return provider.as_provider()

    monkeypatch.setattr(registry, "open_provider", open_fake)
    configuration = configure(tmp_path, pools=[POOL], evidence={"vault": s3_settings(seaweed)})
    ledger = open_test_ledger(tmp_path)
    ledger.append(note(incident="INC-1"), [provider.back_up(share, "RP-files-01-00000001")])
    return make_context(configuration, ledger, SystemClock(), justification="Ransomware")


def sealed(context: Context) -> EvidenceRecord:
    seal(SealEvidence(), context)
    record = next(item for item in context.staged if isinstance(item, EvidenceRecord))
    context.ledger.append(note(incident="INC-1"), [record])
    context.staged.clear()
    return record


def test_a_package_is_put_into_the_bucket_recorded_and_verified_from_there(context: Context, seaweed: Seaweed) -> None:
    record = sealed(context)
    assert record.vault is not None
    assert record.vault.mode == "governance"
    assert all(item.version for item in (*record.vault.objects, record.vault.marker, record.vault.signature))
    log = (Path(record.path) / "custody/custody.jsonl").read_bytes()
    resting = parse_record(split_lines(log)[-1], 2).place
    assert resting.uri == record.vault.uri
    assert resting.immutability.startswith("S3 Object Lock, governance until ")
    checked = verify(VerifyEvidence(evidence=record.id), context)
    assert (checked.status, checked.outcome, checked.faults) == ("verified", Outcome.SUCCEEDED, [])
    assert seaweed.client(ADMIN).head_object(Bucket=VAULT, Key=record.vault.prefix + "data/E0001.tar")["ObjectLockMode"]


def test_the_vault_is_verified_and_not_the_working_copy(context: Context) -> None:
    record = sealed(context)
    Path(record.path).rename(Path(record.path).with_name("moved"))
    assert verify(VerifyEvidence(evidence=record.id), context).status == "verified"


def test_sealing_again_under_the_same_key_finds_the_package_also_without_the_working_copy(context: Context) -> None:
    record = sealed(context)
    Path(record.path).rename(context.configuration.base / "lost")
    again = seal(SealEvidence(), context)
    assert (again.evidence, again.manifest_sha256) == (record.id, record.tag_manifest_sha256)
    assert Path(again.path).is_dir()
    assert next(item for item in context.staged if isinstance(item, EvidenceRecord)).vault == record.vault


def test_a_version_that_was_removed_is_a_fault(context: Context, seaweed: Seaweed) -> None:
    record = sealed(context)
    assert record.vault is not None
    item = next(item for item in record.vault.objects if item.name == "data/E0001.tar")
    seaweed.client(ADMIN).delete_object(
        Bucket=VAULT, Key=record.vault.prefix + item.name, VersionId=item.version, BypassGovernanceRetention=True
    )
    checked = verify(VerifyEvidence(evidence=record.id), context)
    assert (checked.status, checked.outcome) == ("failed", Outcome.FAILED)
    assert any("data/E0001.tar" in fault and "gone from the vault" in fault for fault in checked.faults)


def test_a_hold_holds_every_object_in_the_bucket(context: Context, seaweed: Seaweed) -> None:
    record = sealed(context)
    assert record.vault is not None
    result = place(PlaceHold(subjects=[record.id], reason="Court order"), context)
    hold = next(item for item in context.staged if isinstance(item, Hold))
    assert (result.outcome, result.findings) == (Outcome.SUCCEEDED, [])
    assert hold.enforced_by.startswith("S3 Object Lock: legal hold ON on ")
    for item in record.vault.objects:
        about = {"Bucket": VAULT, "Key": record.vault.prefix + item.name, "VersionId": item.version}
        assert seaweed.client(WRITER).get_object_legal_hold(**about)["LegalHold"]["Status"] == "ON"


def test_a_hold_stands_in_the_register_also_when_the_store_is_down(context: Context) -> None:
    record = sealed(context)
    assert record.vault is not None
    down = record.vault.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    context.ledger.append(note(incident="INC-1"), [record.model_copy(update={"vault": down})])
    settings: dict[str, Any] = context.configuration.evidence.vault.model_dump(mode="json")
    changed = {**settings, "endpoint": "http://127.0.0.1:9", "attempts": 1}
    folder = context.configuration.base
    configuration = configure(folder, sign=False, pools=[POOL], evidence={"vault": changed})
    result = place(PlaceHold(subjects=[record.id], reason="Court order"), replace(context, configuration=configuration))
    assert result.outcome is Outcome.PARTIAL
    assert "is held in the register only" in result.findings[0]
    assert len(result.holds) == 1


def test_a_bucket_without_lock_stops_the_sealing_before_anything_is_restored(context: Context, seaweed: Seaweed) -> None:
    vault = s3_settings(seaweed, bucket=PLAIN, identity=ADMIN)
    configuration = configure(context.configuration.base, sign=False, pools=[POOL], evidence={"vault": vault})
    with pytest.raises(StorageError, match="cannot be a vault"):
        seal(SealEvidence(), replace(context, configuration=configuration))
    assert not (context.configuration.state_folder / "scratch").exists()


def test_a_package_in_another_bucket_than_the_configured_one_is_said_so(context: Context, seaweed: Seaweed) -> None:
    record = sealed(context)
    vault = s3_settings(seaweed, prefix="elsewhere")
    configuration = configure(context.configuration.base, sign=False, pools=[POOL], evidence={"vault": vault})
    with pytest.raises(InputError, match="not the configured vault"):
        verify(VerifyEvidence(evidence=record.id), replace(context, configuration=configuration))
