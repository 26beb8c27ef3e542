"""evidence.seal, evidence.verify and evidence.compare."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import bagit
import pytest

from snaphold.actions.evidence import CompareStates, Content, SealEvidence, VerifyEvidence, compare, seal, verify
from snaphold.clock import FixedClock, SystemClock
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import EvidenceError, InputError, StorageError
from snaphold.evidence.inventory import read_inventory
from snaphold.evidence.metadata import EvidenceMetadata
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.ledger import Ledger
from snaphold.providers import registry
from support.backup_site import ENGINES, make_site
from support.fake_provider import FakeProvider
from support.ledgers import INCIDENT, NOW, configure, make_context, note, open_test_ledger
from support.needs import need_program
from support.timestamp_authority import make_authority, serve


@pytest.fixture
def share(tmp_path: Path) -> Path:
    folder = tmp_path / "share"
    (folder / "deep").mkdir(parents=True)
    for number in range(12):
        (folder / f"deep/file{number}.txt").write_text("words and words " * 40)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9\nx")).write_text("odd")
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> DatabaseLedger:
    return open_test_ledger(tmp_path)


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    fake = FakeProvider(tmp_path / "fake")

    def open_fake(*_: object) -> object:
        return fake.as_provider()

    monkeypatch.setattr(registry, "open_provider", open_fake)
    return fake


POOL = {"name": "isolated-01", "provider": "fake", "location": "pool", "password": "env:NOTHING"}


@pytest.fixture
def context(tmp_path: Path, ledger: DatabaseLedger, provider: FakeProvider, share: Path) -> Context:
    configuration = configure(tmp_path, pools=[POOL])
    point = provider.back_up(share, "RP-files-01-00000001")
    ledger.append(note(incident="INC-1"), [point])
    return make_context(configuration, ledger, FixedClock(NOW), justification="Ransomware")


def record(context: Context) -> EvidenceRecord:
    return next(item for item in context.staged if isinstance(item, EvidenceRecord))


def register(context: Context, ledger: Ledger) -> None:
    ledger.append(note(incident="INC-1"), [record(context)])


def test_a_restore_point_is_sealed_as_a_package_that_stands_alone(context: Context, ledger: DatabaseLedger, share: Path) -> None:
    result = seal(SealEvidence(), context)
    assert (result.outcome, result.timestamped) == (Outcome.SUCCEEDED, False)
    package = Path(result.path)
    assert result.findings == ["not time-stamped: no time-stamping authority is configured"]
    assert bagit.Bag(str(package)).validate()
    with tarfile.open(package / "data/E0001.tar") as archive:
        names = {os.fsencode(member.name) for member in archive if member.isfile()}
    assert os.fsencode(share.relative_to("/")) + b"/caf\xe9\nx" in names
    metadata = EvidenceMetadata.model_validate_json((package / "metadata/evidence.json").read_bytes())
    assert metadata.case == INCIDENT
    assert metadata.providers[0].encryption == "fake cipher, key 1a2b3c4d"
    assert metadata.payload[0].original_names == (str(share),)
    assert metadata.inventories[0].compared
    files = [json.loads(line) for line in (package / "metadata/files.jsonl").read_text().splitlines()]
    assert len(files) == 15
    assert {line["payload"] for line in files} == {"data/E0001.tar"}
    events = [json.loads(line) for line in (package / "metadata/timeline.jsonl").read_text().splitlines()]
    assert {"message", "datetime", "timestamp_desc", "timestamp"} <= set(events[0])
    assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)
    assert json.loads((package / "metadata/quiesce.jsonl").read_text())["event"] == "frozen_at"
    assert (package / "metadata/ledger.jsonl").read_text().count("\n") == len(ledger.entries("INC-1"))
    assert json.loads((package / "metadata/approvals.json").read_text())["approvals"] == []
    register(context, ledger)
    checked = verify(VerifyEvidence(evidence=result.evidence), context)
    assert (checked.status, checked.faults) == ("verified", [])
    assert not (context.configuration.state_folder / "scratch" / result.evidence).exists()


def test_sealing_again_under_the_same_key_returns_the_same_package(context: Context, provider: FakeProvider) -> None:
    first = seal(SealEvidence(), context)
    opened = list(provider.opened)
    second = seal(SealEvidence(), replace(context, staged=[]))
    assert (second.evidence, second.path, second.manifest_sha256) == (first.evidence, first.path, first.manifest_sha256)
    assert provider.opened == opened
    assert seal(SealEvidence(), replace(context, key="INC-1/step/-/2", staged=[])).evidence != first.evidence


def test_what_comes_back_different_is_not_sealed(context: Context, provider: FakeProvider) -> None:
    provider.spoil = True
    with pytest.raises(EvidenceError, match="not what was backed up"):
        seal(SealEvidence(), context)
    assert context.staged == []
    store = context.configuration.path("evidence")
    assert not store.exists() or list(store.iterdir()) == []


def test_a_changed_inventory_is_not_believed(context: Context, ledger: DatabaseLedger) -> None:
    point = ledger.records(RestorePoint)[0]
    with Path(point.inventory).open("a") as file:
        file.write("\n")
    for content in Content:
        with pytest.raises(EvidenceError):
            seal(SealEvidence(content=content), context)


def test_only_the_inventory_is_kept_when_asked_for(context: Context, provider: FakeProvider, share: Path) -> None:
    result = seal(SealEvidence(content=Content.INVENTORY), context)
    package = Path(result.path)
    assert provider.opened == []
    assert [path.name for path in (package / "data").iterdir()] == ["E0001.jsonl"]
    assert len(list(read_inventory(package / "data/E0001.jsonl"))) == 15


def test_a_failed_backup_is_left_out_and_told(
    context: Context, ledger: DatabaseLedger, provider: FakeProvider, share: Path
) -> None:
    bad = provider.back_up(share, "RP-files-01-00000002", outcome=Outcome.FAILED)
    ledger.append(note(incident="INC-1"), [bad])
    result = seal(SealEvidence(), context)
    assert result.outcome is Outcome.PARTIAL
    assert "RP-files-01-00000002 is left out: its backup ended as failed" in result.findings
    assert record(context).restore_points == ("RP-files-01-00000001",)


def test_an_unknown_restore_point_is_bad_input(context: Context) -> None:
    with pytest.raises(InputError, match="RP-gone"):
        seal(SealEvidence(restore_points=["RP-gone"]), context)


def test_without_restore_points_there_is_nothing_to_seal(context: Context, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    empty = replace(context, ledger=open_test_ledger(tmp_path / "other"))
    with pytest.raises(InputError, match="no restore point"):
        seal(SealEvidence(), empty)


def test_a_full_disk_fails_the_sealing_and_a_repeat_succeeds(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def refuse(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("snaphold.evidence.payload.os.fsync", refuse)
    with pytest.raises(StorageError):
        seal(SealEvidence(), context)
    monkeypatch.setattr("snaphold.evidence.payload.os.fsync", real)
    assert seal(SealEvidence(), context).outcome is Outcome.SUCCEEDED


def test_a_configured_authority_stamps_the_package(tmp_path: Path, ledger: DatabaseLedger, context: Context) -> None:
    authority = make_authority(tmp_path / "authority")
    with serve(authority) as url:
        settings = {"time_stamping": {"url": url, "ca_file": str(authority.ca), "timeout": "4m"}}
        configuration = configure(tmp_path / "stamped", pools=[POOL], evidence=settings)
        stamped = replace(context, configuration=configuration)
        result = seal(SealEvidence(), stamped)
    assert (result.timestamped, result.outcome, result.findings) == (True, Outcome.SUCCEEDED, [])
    register(stamped, ledger)
    assert verify(VerifyEvidence(evidence=result.evidence), stamped).status == "verified"


def test_an_authority_that_is_down_leaves_a_visible_gap(tmp_path: Path, context: Context) -> None:
    (tmp_path / "ca.pem").write_text("x")
    settings = {"time_stamping": {"url": "http://127.0.0.1:9/", "ca_file": str(tmp_path / "ca.pem"), "timeout": "1m"}}
    configuration = configure(tmp_path / "stamped", pools=[POOL], evidence=settings)
    result = seal(SealEvidence(), replace(context, configuration=configuration))
    assert (result.timestamped, result.outcome) == (False, Outcome.PARTIAL)
    assert "127.0.0.1:9 cannot be reached" in result.findings[0]


def test_a_tampered_package_is_told_with_the_file(context: Context, ledger: DatabaseLedger) -> None:
    result = seal(SealEvidence(), context)
    register(context, ledger)
    victim = Path(result.path) / "data/E0001.tar"
    victim.chmod(0o644)
    with victim.open("r+b") as file:
        file.write(b"X")
    checked = verify(VerifyEvidence(evidence=result.evidence), context)
    assert (checked.status, checked.outcome) == ("failed", Outcome.FAILED)
    assert "data/E0001.tar: was changed" in checked.faults[0]


def test_a_package_that_is_gone_or_unknown_is_told(context: Context, ledger: DatabaseLedger, tmp_path: Path) -> None:
    result = seal(SealEvidence(), context)
    register(context, ledger)
    Path(result.path).rename(tmp_path / "elsewhere")
    assert verify(VerifyEvidence(evidence=result.evidence), context).status == "failed"
    with pytest.raises(InputError, match="EV-other"):
        verify(VerifyEvidence(evidence="EV-other"), context)


def test_the_live_source_is_compared_and_the_attack_named(context: Context, share: Path) -> None:
    for number in range(12):
        path = share / f"deep/file{number}.txt"
        path.with_name(path.name + ".locked").write_bytes(os.urandom(2048))
        path.unlink()
    (share / "HOW_TO_DECRYPT.txt").write_text("Your files are encrypted. Send bitcoin to this wallet.")
    result = compare(CompareStates(before="RP-files-01-00000001"), context)
    assert (result.added, result.removed, result.modified) == (13, 12, 0)
    assert [text.partition(":")[0] for text in result.patterns] == ["mass encryption", "ransom note"]
    lines = Path(result.report).read_text().splitlines()
    assert json.loads(lines[0])["counts"]["added"] == 13
    assert len(lines) == 1 + 25 + result.metadata_only


def test_two_restore_points_are_compared(context: Context, ledger: DatabaseLedger, provider: FakeProvider, share: Path) -> None:
    (share / "new").write_text("x")
    later = provider.back_up(share, "RP-files-01-00000002")
    ledger.append(note(incident="INC-1"), [later])
    result = compare(CompareStates(before="RP-files-01-00000001", after=later.id), context)
    assert (result.outcome, result.added, result.patterns) == (Outcome.SUCCEEDED, 1, [])
    with pytest.raises(InputError):
        compare(CompareStates(before="RP-files-01-00000001", after="RP-gone"), context)


def test_copies_of_a_quiesce_adapter_have_no_live_counterpart(
    context: Context, ledger: DatabaseLedger, provider: FakeProvider
) -> None:
    staged = context.configuration.state_folder / "jobs/J/copy"
    staged.mkdir(parents=True)
    (staged / "orders.db").write_text("copy")
    ledger.append(note(incident="INC-1"), [provider.back_up(staged, "RP-orders-db-00000001")])
    (staged / "orders.db").unlink()
    result = compare(CompareStates(before="RP-orders-db-00000001"), context)
    assert (result.outcome, result.removed) == (Outcome.PARTIAL, 0)
    assert "2 entries are copies made by a quiesce adapter" in result.findings[0]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_real_backup_is_sealed_and_verified_with_stock_tools(tmp_path: Path, engine: str) -> None:
    site = make_site(tmp_path, engine, document={"evidence": {"identity": "custodian@soc"}})
    point = site.back_up().restore_point
    assert point is not None
    from snaphold.evidence.signature import create_key

    create_key(tmp_path / "keys/custodian")
    ledger = open_test_ledger(tmp_path)
    ledger.append(note(incident="INC-1"), [point])
    context = make_context(site.configuration, ledger, SystemClock())
    result = seal(SealEvidence(), context)
    package = Path(result.path)
    command = [need_program("bash"), str(tmp_path / "trust/verify.sh"), str(package), "custodian@soc"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    with tarfile.open(package / "data/E0001.tar") as archive:
        names = {os.fsencode(member.name) for member in archive}
    assert os.fsencode(site.share.relative_to("/")) + b"/caf\xe9" in names
    register(context, ledger)
    assert verify(VerifyEvidence(evidence=result.evidence), context).status == "verified"
