"""The tamper matrix: every way to change a package, and what the verifier says about it."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snaphold.clock import FixedClock
from snaphold.errors import InputError
from snaphold.evidence.custody import append_record
from snaphold.evidence.custody_record import CustodyEvent, CustodyNote
from snaphold.evidence.package import party
from snaphold.evidence.payload import StreamSource
from snaphold.evidence.signature import EVIDENCE_NAMESPACE
from snaphold.evidence.timestamp import TimeStamp, make_request, verify_timestamp
from snaphold.evidence.trust import signer_line
from snaphold.evidence.verify import Report, Status, Trust, find_trust, verify_package
from support.evidence_packages import ANA, IDENTITY, SEALED_AT, Sealed, copy_sealed, make_signer, rewrite, seal
from support.needs import need_program
from support.timestamp_authority import Authority, make_authority

MANIFEST, TAGS = "manifest-sha256.txt", "tagmanifest-sha256.txt"
LOG = "custody/custody.jsonl"
CHECKPOINT = "custody/checkpoint-000002"
Change = Callable[[Sealed], None]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Sealed:
    def stamp(data: bytes) -> TimeStamp:
        request = make_request(data)
        reply = authority.answer(request)
        return TimeStamp(request, reply, verify_timestamp(data, request, reply, authority.ca.read_bytes()))

    return seal(tmp_path_factory.mktemp("original"), stamp=stamp, tsa_ca=authority.ca)


@pytest.fixture
def sealed(original: Sealed, tmp_path: Path) -> Sealed:
    return copy_sealed(original, tmp_path)


def verify(sealed: Sealed, **given: object) -> Report:
    return verify_package(sealed.package, sealed.trust, clock=FixedClock(SEALED_AT), **given)  # type: ignore[arg-type]


def told(report: Report) -> str:
    return "\n".join([*map(str, report.faults), *report.notes])


def flip(path: Path, position: int = 0, bit: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= bit
    rewrite(path, bytes(content))


def flip_payload(sealed: Sealed) -> None:
    flip(sealed.package / "data/E0002.log", 3)


def swap_payload(sealed: Sealed) -> None:
    one, two = sealed.package / "data/E0001.img", sealed.package / "data/E0002.log"
    first, second = one.read_bytes(), two.read_bytes()
    rewrite(one, second)
    rewrite(two, first)


def redigest(package: Path) -> None:
    for manifest in (MANIFEST, TAGS):
        names = [line[66:] for line in (package / manifest).read_text().splitlines()]
        lines = (
            f"{hashlib.sha256((package / name).read_bytes()).hexdigest()}  {name}\n"
            for name in names
            if (package / name).exists()
        )
        rewrite(package / manifest, "".join(lines).encode())


def flip_payload_and_rewrite_manifests(sealed: Sealed) -> None:
    flip_payload(sealed)
    redigest(sealed.package)


def sign_again_with_own_key(sealed: Sealed) -> None:
    flip_payload_and_rewrite_manifests(sealed)
    stranger = make_signer(sealed.trust_folder.parent / "stranger")
    manifest = (sealed.package / TAGS).read_bytes()
    rewrite(sealed.package / f"{TAGS}.sig", stranger.sign(manifest, EVIDENCE_NAMESPACE).encode())


def edit_metadata(sealed: Sealed) -> None:
    path = sealed.package / "metadata/evidence.json"
    rewrite(path, path.read_bytes().replace(b"Ransomware", b"Ransomwere", 1))


def remove_payload_and_line(sealed: Sealed) -> None:
    (sealed.package / "data/E0002.log").unlink()
    text = (sealed.package / MANIFEST).read_text().splitlines(keepends=True)
    rewrite(sealed.package / MANIFEST, text[0].encode())


def remove_payload_and_tag_manifest(sealed: Sealed) -> None:
    remove_payload_and_line(sealed)
    (sealed.package / TAGS).unlink()


def remove_payload(sealed: Sealed) -> None:
    (sealed.package / "data/E0001.img").unlink()


def truncate_log(sealed: Sealed) -> None:
    lines = (sealed.package / LOG).read_bytes().splitlines(keepends=True)
    rewrite(sealed.package / LOG, lines[0])


def edit_record(sealed: Sealed) -> None:
    rewrite(sealed.package / LOG, (sealed.package / LOG).read_bytes().replace(b'"id":"ana"', b'"id":"bob"', 1))


def unknown_event(sealed: Sealed) -> None:
    rewrite(sealed.package / LOG, (sealed.package / LOG).read_bytes().replace(b'"event":"sealed"', b'"event":"healed"'))


def swap_reply(sealed: Sealed) -> None:
    reply = Authority(AUTHORITY[0]).answer(make_request(b"something else"))
    rewrite(sealed.package / f"{TAGS}.sig.tsr", reply)


def swap_reply_and_query(sealed: Sealed) -> None:
    """A second, perfectly valid time stamp over the same signature: only the custody log can tell."""
    query = make_request((sealed.package / f"{TAGS}.sig").read_bytes())
    rewrite(sealed.package / f"{TAGS}.sig.tsr", Authority(AUTHORITY[0]).answer(query))
    rewrite(sealed.package / f"{TAGS}.sig.tsq", query)


def remove_time_stamp(sealed: Sealed) -> None:
    for end in ("tsq", "tsr"):
        (sealed.package / f"{TAGS}.sig.{end}").unlink()


def remove_checkpoint_signature(sealed: Sealed) -> None:
    (sealed.package / f"{CHECKPOINT}.sig").unlink()


def remove_checkpoints(sealed: Sealed) -> None:
    for end in ("", ".sig"):
        (sealed.package / f"{CHECKPOINT}{end}").unlink()


def remove_signature(sealed: Sealed) -> None:
    (sealed.package / f"{TAGS}.sig").unlink()


def remove_log(sealed: Sealed) -> None:
    (sealed.package / LOG).unlink()


def plant_payload(sealed: Sealed) -> None:
    (sealed.package / "data/E0003.bin").write_bytes(b"planted")


def plant_tag_file(sealed: Sealed) -> None:
    (sealed.package / "metadata/planted.json").write_text("{}")


def plant_in_custody(sealed: Sealed) -> None:
    (sealed.package / "custody/planted").write_text("x")


def replace_by_link(sealed: Sealed) -> None:
    path = sealed.package / "data/E0001.img"
    shutil.copy(path, sealed.trust_folder.parent / "same")
    path.unlink()
    path.symlink_to(sealed.trust_folder.parent / "same")


def link_a_folder(sealed: Sealed) -> None:
    (sealed.package / "data/more").symlink_to("/etc")


def append_after_checkpoint(sealed: Sealed) -> None:
    for _ in range(2):
        append_record(sealed.package, note(), FixedClock(SEALED_AT), None)


def interrupted_append(sealed: Sealed) -> None:
    (sealed.package / "custody/.custody.jsonl.partial").write_bytes(b"{")


def log_of_another_package(sealed: Sealed) -> None:
    other = sealed.trust_folder.parent / "other"
    other.mkdir()
    second = seal(other, StreamSource("something else", [b"else"]))
    shutil.copy(second.package / LOG, sealed.package / LOG)


def note() -> CustodyNote:
    return CustodyNote(case_id="INC-1", evidence_id="EV-INC-1-0a1b2c3d", event=CustodyEvent.ACCESSED, received_by=party(ANA))


AUTHORITY: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def _remember_authority(authority: Authority) -> None:
    AUTHORITY[:] = [authority.folder]


MATRIX: list[tuple[Change, Status, str]] = [
    (flip_payload, Status.FAILED, "data/E0002.log: was changed"),
    (swap_payload, Status.FAILED, "data/E0001.img: was changed"),
    (flip_payload_and_rewrite_manifests, Status.FAILED, "tagmanifest-sha256.txt: the signature does not fit"),
    (sign_again_with_own_key, Status.FAILED, "signing key is unknown"),
    (edit_metadata, Status.FAILED, "metadata/evidence.json: was changed"),
    (remove_payload, Status.FAILED, "data/E0001.img: is missing"),
    (remove_payload_and_line, Status.FAILED, "manifest-sha256.txt: was changed"),
    (remove_payload_and_tag_manifest, Status.FAILED, "tagmanifest-sha256.txt: is missing"),
    (truncate_log, Status.FAILED, "custody.jsonl line 2: is missing"),
    (edit_record, Status.FAILED, "custody.jsonl line 2: is not chained to line 1"),
    (unknown_event, Status.FAILED, "custody.jsonl line 2: line 2 of the custody log is malformed"),
    (swap_reply, Status.FAILED, "tagmanifest-sha256.txt.sig.tsr: the time stamp does not verify"),
    (swap_reply_and_query, Status.FAILED, "tagmanifest-sha256.txt.sig.tsr: was changed"),
    (remove_time_stamp, Status.FAILED, "tagmanifest-sha256.txt.sig.tsr: is missing"),
    (remove_checkpoint_signature, Status.INCOMPLETE, "checkpoint-000002.sig: is missing"),
    (remove_checkpoints, Status.INCOMPLETE, "no checkpoint that can be relied on"),
    (remove_signature, Status.FAILED, "tagmanifest-sha256.txt.sig: is missing"),
    (remove_log, Status.INCOMPLETE, "custody/custody.jsonl: is missing"),
    (plant_payload, Status.FAILED, "data/E0003.bin: is not listed"),
    (plant_tag_file, Status.FAILED, "metadata/planted.json: is not listed"),
    (plant_in_custody, Status.FAILED, "custody/planted: does not belong"),
    (replace_by_link, Status.FAILED, "data/E0001.img: is a symbolic link"),
    (link_a_folder, Status.FAILED, "data/more: is a symbolic link"),
    (append_after_checkpoint, Status.INCOMPLETE, "2 records after the last checkpoint, from line 3"),
    (interrupted_append, Status.INCOMPLETE, "an append was interrupted"),
    (log_of_another_package, Status.FAILED, "custody.jsonl line 1: is not chained to tagmanifest-sha256.txt"),
]


@pytest.mark.parametrize(("change", "status", "words"), MATRIX, ids=[row[0].__name__ for row in MATRIX])
def test_every_change_is_named(sealed: Sealed, change: Change, status: Status, words: str) -> None:
    change(sealed)
    report = verify(sealed)
    assert (report.status, words in told(report)) == (status, True), told(report)


def test_the_unchanged_copy_verifies(sealed: Sealed) -> None:
    assert (verify(sealed).faults, verify(sealed).notes) == ([], [])


def test_a_planted_folder_a_mode_and_a_time_are_metadata_findings(sealed: Sealed) -> None:
    (sealed.package / "data/empty").mkdir()
    (sealed.package / "data/E0001.img").chmod(0o666)
    os.utime(sealed.package / "bagit.txt", (1, 1))
    report = verify(sealed)
    assert report.status is Status.VERIFIED
    assert "data/empty: an empty folder" in told(report)
    assert "data/E0001.img: the file mode" in told(report)
    assert "bagit.txt: the modification time" in told(report)


def test_a_log_rolled_back_with_its_checkpoint_is_seen_with_the_anchor(sealed: Sealed, tmp_path: Path) -> None:
    before = tmp_path / "before"
    shutil.copytree(sealed.package / "custody", before)
    append_record(sealed.package, note(), FixedClock(SEALED_AT), sealed.signer)
    anchor = (sealed.package / "custody/checkpoint-000003").read_text()
    assert verify(sealed, anchor=anchor).status is Status.VERIFIED
    shutil.rmtree(sealed.package / "custody")
    shutil.copytree(before, sealed.package / "custody")
    assert verify(sealed).status is Status.VERIFIED
    report = verify(sealed, anchor=anchor)
    assert report.status is Status.FAILED
    assert "line 3: is missing" in told(report)


def test_an_anchor_of_another_log_proves_nothing(sealed: Sealed) -> None:
    anchor = (sealed.package / CHECKPOINT).read_text()
    report = verify(sealed, anchor=anchor.replace("INC-1/", "INC-2/"))
    assert report.status is Status.UNVERIFIABLE
    assert verify(sealed, anchor="nonsense").status is Status.UNVERIFIABLE


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ('namespaces="other@x"', Status.FAILED, "wrong namespace"),
        ('valid-after="20990101Z"', Status.FAILED, "not yet valid"),
        ('valid-before="20200101Z"', Status.FAILED, "expired"),
    ],
)
def test_a_key_that_may_not_sign_is_said_so(sealed: Sealed, options: str, status: Status, words: str) -> None:
    (sealed.trust_folder / "allowed_signers").write_text(f"{IDENTITY} {options} {sealed.signer.public_key}\n")
    report = verify(sealed)
    assert report.status is status
    assert words in told(report)


def test_an_expired_key_without_a_time_stamp_is_unverifiable_until_the_time_is_given(tmp_path: Path) -> None:
    sealed = seal(tmp_path)
    line = f'{IDENTITY} valid-before="20261231Z" {sealed.signer.public_key}\n'
    (sealed.trust_folder / "allowed_signers").write_text(line)
    later = FixedClock(SEALED_AT)
    later.advance(3600 * 24 * 365)
    assert verify_package(sealed.package, sealed.trust, clock=later).status is Status.UNVERIFIABLE
    assert verify_package(sealed.package, sealed.trust, clock=later, at=SEALED_AT).status is Status.VERIFIED


def test_a_time_stamped_package_outlives_its_key(sealed: Sealed) -> None:
    report = verify(sealed)
    assert report.timestamp
    line = f'{IDENTITY} valid-before="{report.timestamp.year + 1}0101Z" {sealed.signer.public_key}\n'
    (sealed.trust_folder / "allowed_signers").write_text(line)
    later = FixedClock(report.timestamp)
    later.advance(3600 * 24 * 800)
    assert verify_package(sealed.package, sealed.trust, clock=later).status is Status.VERIFIED


def test_a_revoked_key_is_said_so(sealed: Sealed, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(sealed.signer.public_key + "\n")
    command = [need_program("ssh-keygen"), "-k", "-q", "-f", str(sealed.trust_folder / "revoked_keys"), str(tmp_path / "key.pub")]
    subprocess.run(command, check=True)
    report = verify(sealed)
    assert report.status is Status.FAILED
    assert "revoked" in told(report)


def test_without_trust_nothing_is_verified(sealed: Sealed) -> None:
    (sealed.trust_folder / "allowed_signers").unlink()
    report = verify(sealed)
    assert report.status is Status.UNVERIFIABLE
    assert "allowed_signers" in told(report)
    (sealed.trust_folder / "allowed_signers").write_text(signer_line(IDENTITY, sealed.signer.public_key, SEALED_AT))
    (sealed.trust_folder / "tsa-ca.pem").unlink()
    assert "tsa-ca.pem" in told(verify(sealed))


def test_another_identity_than_the_signer_fails(sealed: Sealed) -> None:
    report = verify(sealed, identity="somebody@else")
    assert report.status is Status.FAILED
    assert "does not belong to somebody@else" in told(report)


def test_the_trust_folder_is_found_beside_the_store(sealed: Sealed, tmp_path: Path) -> None:
    assert find_trust(sealed.package) == (tmp_path / "trust").resolve()


def test_what_is_not_a_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        verify_package(tmp_path / "gone", Trust())


def test_an_empty_folder_is_incomplete_not_verified(tmp_path: Path, original: Sealed) -> None:
    (tmp_path / "empty").mkdir()
    assert verify_package(tmp_path / "empty", original.trust).status is Status.INCOMPLETE


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_of_any_byte_of_any_file_is_named(
    data: st.DataObject, original: Sealed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = sorted(path.relative_to(original.package).as_posix() for path in original.package.rglob("*") if path.is_file())
    name = data.draw(st.sampled_from(names))
    position = data.draw(st.integers(0, (original.package / name).stat().st_size - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    sealed = copy_sealed(original, tmp_path_factory.mktemp("flip"))
    try:
        flip(sealed.package / name, position, bit)
        report = verify(sealed)
        assert report.status is not Status.VERIFIED, (name, position, bit)
        assert name in "\n".join(map(str, report.faults)), (name, position, bit, told(report))
    finally:
        shutil.rmtree(sealed.package.parent.parent)


@pytest.mark.slow
def test_no_byte_of_the_small_files_can_be_flipped_unseen(original: Sealed, tmp_path: Path) -> None:
    sealed = copy_sealed(original, tmp_path)
    for path in sorted(path for path in sealed.package.rglob("*") if path.is_file() and path.name != "evidence.json"):
        content = path.read_bytes()
        for position in range(0, len(content), 7):
            flip(path, position, 1 << (position % 8))
            report = verify(sealed)
            rewrite(path, content)
            name = path.relative_to(sealed.package).as_posix()
            assert name in "\n".join(map(str, report.faults)), (name, position, told(report))
    assert verify(sealed).status is Status.VERIFIED


STOCK_SEES: list[Change] = [
    flip_payload, swap_payload, flip_payload_and_rewrite_manifests, sign_again_with_own_key, edit_metadata, remove_payload,
    remove_payload_and_line, remove_payload_and_tag_manifest, truncate_log, edit_record, swap_reply, remove_checkpoint_signature,
    remove_checkpoints, plant_payload, plant_tag_file, replace_by_link, append_after_checkpoint, log_of_another_package,
]  # fmt: skip


def verify_script(sealed: Sealed) -> subprocess.CompletedProcess[bytes]:
    command = [need_program("bash"), str(sealed.trust_folder / "verify.sh"), str(sealed.package), IDENTITY]
    return subprocess.run(command, capture_output=True, check=False)


def test_the_script_of_stock_commands_accepts_the_package(sealed: Sealed) -> None:
    done = verify_script(sealed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"OK: everything verifies\n")


@pytest.mark.parametrize("change", STOCK_SEES, ids=[change.__name__ for change in STOCK_SEES])
def test_the_script_of_stock_commands_stops_at_a_change(sealed: Sealed, change: Change) -> None:
    change(sealed)
    done = verify_script(sealed)
    assert done.returncode != 0
    assert b"OK: everything" not in done.stdout


def test_base64_has_one_spelling_only(sealed: Sealed) -> None:
    path = sealed.package / f"{TAGS}.sig"
    blob = base64.b64decode("".join(path.read_text().splitlines()[1:-1]))
    text = base64.b64encode(blob).decode()
    rewrite(
        path, f"-----BEGIN SSH SIGNATURE-----\n{text[:60]}\n{text[60:120]}\n{text[120:]}\n-----END SSH SIGNATURE-----\n".encode()
    )
    assert "signature is malformed" in told(verify(sealed))
