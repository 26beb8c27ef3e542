"""Evidence over the API: whole, only for those who may, and never without a record of it."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Generator
from pathlib import Path

import pytest

from snaphold.domain.authority import EvidenceRecord
from snaphold.domain.incident import IncidentRecord
from snaphold.evidence import layout
from snaphold.evidence.archive import plan_archive
from snaphold.evidence.custody import parse_record, split_lines
from snaphold.evidence.signature import create_key
from snaphold.service.evidence import MOST_AT_ONCE, _places  # pyright: ignore[reportPrivateUsage]
from support.evidence_packages import EVIDENCE_ID, SEALED_AT, Sealed, seal
from support.ledgers import INCIDENT, NOW, note
from support.service_lab import Reply, ServiceLab, serving

ROLES = [
    {"name": "analyst", "members": ["ana"], "may": ["evidence.*"]},
    {"name": "reader", "members": ["ben"], "may": ["toy.read"]},
]
WHY = {"X-Snaphold-Justification": "For the investigators"}


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    folder = tmp_path / "sealed"
    folder.mkdir()
    return seal(folder)


@pytest.fixture
def lab(tmp_path: Path, sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> Generator[ServiceLab]:
    create_key(tmp_path / "keys/custodian")
    record = EvidenceRecord(
        id=EVIDENCE_ID, incident="INC-1", path=str(sealed.package), sealed_at=SEALED_AT, signed_by="custodian",
        tag_manifest_sha256=sealed.result.tag_manifest_sha256, timestamped=False,
    )  # fmt: skip
    told = IncidentRecord(id="INC-1", incident="INC-1", declared=INCIDENT, told_by="ana", told_at=NOW)
    with serving(tmp_path, monkeypatch, roles=ROLES) as found:
        found.runtime.ledger.append(note(), [record, told])
        yield found


def fetch(lab: ServiceLab, token: str | None = "ana", id: str = EVIDENCE_ID, headers: dict[str, str] = WHY) -> Reply:  # noqa: S107
    return lab.request("GET", f"/v1/evidence/{id}/archive", token=token, headers=headers)


def contents(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def custody(package: Path) -> list[tuple[str, str]]:
    lines = split_lines((package / layout.CUSTODY_LOG).read_bytes())
    records = [parse_record(line, number) for number, line in enumerate(lines, 1)]
    return [(record.event.value, record.received_by.id if record.received_by else "") for record in records]


def test_a_package_arrives_whole_and_each_handing_over_is_recorded(lab: ServiceLab, sealed: Sealed, tmp_path: Path) -> None:
    first, second = fetch(lab), fetch(lab)
    assert first.status == 200, first.body
    assert first.headers["content-type"] == "application/x-tar"
    assert int(first.headers["content-length"]) == len(first.body)
    assert f'filename="{EVIDENCE_ID}.tar"' in first.headers["content-disposition"]
    on_disk = {f"{EVIDENCE_ID}/{path.relative_to(sealed.package)}" for path in sealed.package.rglob("*") if path.is_file()}
    got, again = contents(first.body), contents(second.body)
    assert set(again) == on_disk
    unchanged = {name for name in again if f"/{layout.CUSTODY}/" not in name}
    assert {name: got[name] for name in unchanged} == {name: again[name] for name in unchanged}
    assert custody(sealed.package)[-2:] == [("exported", "ana"), ("exported", "ana")]
    assert got[f"{EVIDENCE_ID}/{layout.CUSTODY_LOG}"].count(b'"exported"') == 1
    noted = [one for one in lab.runtime.ledger.entries() if one.action == "evidence.download"]
    assert [(one.actor, one.justification) for one in noted] == [("ana", "For the investigators")] * 2


def test_the_archive_of_a_package_has_the_same_bytes_wherever_it_lies(sealed: Sealed, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / sealed.package.name
    shutil.copytree(sealed.package, other, copy_function=shutil.copyfile)
    archives = [plan_archive(package, SEALED_AT) for package in (sealed.package, other)]
    assert b"".join(archives[0].chunks()) == b"".join(archives[1].chunks())
    assert sum(len(chunk) for chunk in archives[0].chunks()) == archives[0].size


def test_who_has_no_role_for_it_gets_nothing_and_the_refusal_is_recorded(lab: ServiceLab, sealed: Sealed) -> None:
    before = custody(sealed.package)
    refused = fetch(lab, "ben")
    assert (refused.status, "evidence.download" in refused.document["why"]) == (403, True)
    assert fetch(lab, None).status == 401
    assert fetch(lab, headers={}).status == 400
    assert fetch(lab, id="EV-none").status == 404
    assert ("refused", "evidence.download") in lab.events()
    assert custody(sealed.package) == before


def test_what_does_not_belong_into_a_package_is_not_handed_over(lab: ServiceLab, sealed: Sealed, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    data = sealed.package / "data"
    data.chmod(0o755)
    (data / "E0009.bin").symlink_to(secret)
    refused = fetch(lab)
    assert (refused.status, refused.document["outcome"]) == (424, "failed")
    assert b"no part of it" in refused.body
    (data / "E0009.bin").unlink()
    (data / "-rf me").write_text("x")
    assert b"no part of it" in fetch(lab).body


def test_without_a_record_in_its_chain_of_custody_nothing_is_handed_over(lab: ServiceLab, sealed: Sealed) -> None:
    (lab.runtime.configuration.base / "keys/custodian").unlink()
    refused = fetch(lab)
    assert (refused.status, "not handed over" in refused.document["detail"]) == (424, True)


def test_a_package_that_is_gone_is_told(lab: ServiceLab, sealed: Sealed) -> None:
    sealed.package.rename(sealed.package.with_name("away"))
    gone = fetch(lab)
    assert (gone.status, "is gone" in gone.document["detail"]) == (424, True)


def test_only_so_many_are_handed_over_at_a_time_and_a_place_is_given_back(lab: ServiceLab) -> None:
    for _ in range(MOST_AT_ONCE):
        assert _places.acquire(blocking=False)
    try:
        busy = fetch(lab)
        assert (busy.status, "retry-after" in busy.headers) == (503, True)
    finally:
        for _ in range(MOST_AT_ONCE):
            _places.release()
    for _ in range(MOST_AT_ONCE + 1):
        assert fetch(lab, id="EV-none").status == 404
    assert fetch(lab).status == 200
