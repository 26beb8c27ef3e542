"""Sealed packages, checked with stock tools and with the independent validator."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import bagit
import pytest

from snaphold.clock import FixedClock
from snaphold.errors import EvidenceError, ProviderError, StorageError
from snaphold.evidence import payload as payload_module
from snaphold.evidence.hashing import Digest
from snaphold.evidence.package import Stamp, add_timestamp, build_package
from snaphold.evidence.payload import StreamSource, TreeSource
from snaphold.evidence.timestamp import TimeStamp, make_request, verify_timestamp
from snaphold.evidence.verify import Status, verify_package
from snaphold.vault.local import LocalVault
from support.evidence_packages import ANA, IDENTITY, SEALED_AT, Sealed, make_signer, plan, seal
from support.needs import need_program
from support.timestamp_authority import Authority, make_authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Sealed:
    return seal(tmp_path_factory.mktemp("stamped"), stamp=stamper(authority), tsa_ca=authority.ca)


def stamper(authority: Authority) -> Stamp:
    def stamp(data: bytes) -> TimeStamp:
        request = make_request(data)
        reply = authority.answer(request)
        return TimeStamp(request, reply, verify_timestamp(data, request, reply, authority.ca.read_bytes()))

    return stamp


def run(package: Path, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    need_program(command[0])
    return subprocess.run(command, cwd=package, input=stdin, capture_output=True, check=False)


def test_stock_tools_verify_a_stamped_package(stamped: Sealed) -> None:
    package = stamped.package
    assert stamped.result.timestamped
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        done = run(package, "sha256sum", "--strict", "--quiet", "-c", manifest)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    signers = str(stamped.trust_folder / "allowed_signers")
    for signed in ("tagmanifest-sha256.txt", "custody/checkpoint-000002"):
        verify = ("ssh-keygen", "-Y", "verify", "-f", signers, "-I", IDENTITY, "-n", "evidence@snaphold", "-s", f"{signed}.sig")
        done = run(package, *verify, "-Overify-time=20261122180000Z", stdin=(package / signed).read_bytes())
        assert done.returncode == 0, done.stderr
    name = "tagmanifest-sha256.txt.sig"
    authority = str(stamped.trust_folder / "tsa-ca.pem")
    done = run(package, "openssl", "ts", "-verify", "-data", name, "-in", f"{name}.tsr", "-CAfile", authority)
    assert done.returncode == 0, done.stderr
    fields = dict(line.split(": ", 1) for line in (package / "custody/checkpoint-000002").read_text().splitlines()[1:])
    head = run(package, "head", "-c", fields["bytes"], "custody/custody.jsonl").stdout
    assert hashlib.sha256(head).hexdigest() == fields["sha256"]


def test_the_independent_validator_accepts_the_layout(stamped: Sealed) -> None:
    assert bagit.Bag(str(stamped.package)).validate()


def test_the_package_verifies(stamped: Sealed) -> None:
    report = verify_package(stamped.package, stamped.trust, clock=FixedClock(SEALED_AT))
    assert report.faults == []
    assert report.status is Status.VERIFIED
    assert report.notes == []
    assert report.timestamp is not None
    assert (report.payload_files, report.custody_records) == (2, 2)


def test_sealed_files_are_read_only_but_for_the_custody_log(stamped: Sealed) -> None:
    assert stamped.package.stat().st_mode & 0o777 == 0o555
    assert (stamped.package / "data/E0001.img").stat().st_mode & 0o777 == 0o444
    assert (stamped.package / "custody").stat().st_mode & 0o777 == 0o755


def test_the_custody_log_says_who_what_and_with_what_digests(stamped: Sealed) -> None:
    lines = (stamped.package / "custody/custody.jsonl").read_bytes().splitlines(keepends=True)
    first, second = (json.loads(line) for line in lines)
    assert [first["event"], second["event"]] == ["acquired", "sealed"]
    assert first["prev"] == hashlib.sha256((stamped.package / "tagmanifest-sha256.txt").read_bytes()).hexdigest()
    assert second["prev"] == hashlib.sha256(lines[0]).hexdigest()
    assert first["received_by"]["name"] == ANA.name
    assert first["digests"][0]["match"] is True
    assert {digest["of"] for digest in second["digests"]} >= {"tagmanifest-sha256.txt.sig", "tagmanifest-sha256.txt.sig.tsr"}


def test_a_tree_with_any_names_becomes_the_same_archive_every_time(tmp_path: Path) -> None:
    tree = os.fsencode(tmp_path / "tree")
    names = [b"new\nline", b"\xff\xfe not utf-8", b"100%4.evtx", b"per%0Acent", b"l" * 200, "ä".encode()]
    os.makedirs(tree + b"/deep/" + b"d" * 120)
    for number, name in enumerate(names):
        with open(os.path.join(tree, b"deep", name), "wb") as file:
            file.write(name)
        os.utime(os.path.join(tree, b"deep", name), ns=(1, 1_700_000_000_123_456_789 + number))
        os.chmod(os.path.join(tree, b"deep", name), 0o640)
    os.symlink(b"/etc/passwd", tree + b"/link")
    os.mkfifo(tree + b"/pipe")
    digests: list[str] = []
    for attempt in ("one", "two"):
        folder = tmp_path / attempt
        folder.mkdir()
        sealed = seal(folder, TreeSource("a tree", tmp_path / "tree"))
        archive = sealed.package / "data/E0001.tar"
        digests.append(hashlib.sha256(archive.read_bytes()).hexdigest())
        assert verify_package(sealed.package, sealed.trust, clock=FixedClock(SEALED_AT)).status is Status.VERIFIED
        assert bagit.Bag(str(sealed.package)).validate()
        assert run(sealed.package, "sha256sum", "--strict", "--quiet", "-c", "manifest-sha256.txt").returncode == 0
    assert digests[0] == digests[1]
    (tmp_path / "out").mkdir()
    assert run(tmp_path / "out", "tar", "-xpf", str(tmp_path / "one/evidence/EV-INC-1-0a1b2c3d/data/E0001.tar")).returncode == 0
    for number, name in enumerate(names):
        path = os.path.join(os.fsencode(tmp_path / "out"), b"deep", name)
        with open(path, "rb") as file:
            assert file.read() == name
        assert os.stat(path).st_mtime_ns == 1_700_000_000_123_456_789 + number
        assert os.stat(path).st_mode & 0o777 == 0o640
    with tarfile.open(tmp_path / "one/evidence/EV-INC-1-0a1b2c3d/data/E0001.tar") as archive_file:
        members = [os.fsencode(member.name) for member in archive_file]
    assert members == sorted(members)


def test_bytes_that_change_on_their_way_to_the_disk_fail_the_sealing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(_path: Path) -> Digest:
        return Digest("0" * 64, 13)

    monkeypatch.setattr(payload_module, "hash_file", other)
    with pytest.raises(EvidenceError, match="differs from what was written"):
        seal(tmp_path)
    assert not (tmp_path / "evidence/EV-INC-1-0a1b2c3d").exists()


def test_a_full_disk_leaves_nothing_at_the_final_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "staged").mkdir()
    key = make_signer(tmp_path / "key")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match="cannot be written") as caught:
        build_package(tmp_path / "staged", plan(), signer=key, clock=FixedClock(SEALED_AT))
    assert caught.value.do == "free some space"


def test_without_an_authority_the_package_says_that_it_is_not_time_stamped(tmp_path: Path) -> None:
    def down(_data: bytes) -> TimeStamp:
        raise ProviderError("the authority cannot be reached", "connection refused")

    sealed = seal(tmp_path, stamp=down)
    assert not sealed.result.timestamped
    assert "connection refused" in sealed.result.untimestamped_because
    report = verify_package(sealed.package, sealed.trust, clock=FixedClock(SEALED_AT))
    assert report.status is Status.VERIFIED
    assert report.notes == ["the package is not time-stamped"]
    assert "not time-stamped" in (sealed.package / "custody/custody.jsonl").read_text()


def test_a_package_can_be_time_stamped_later(tmp_path: Path, authority: Authority) -> None:
    sealed = seal(tmp_path, tsa_ca=authority.ca)
    clock = FixedClock(SEALED_AT)
    clock.advance(3600)
    add_timestamp(sealed.package, actor=ANA, signer=sealed.signer, clock=clock, stamp=stamper(authority))
    report = verify_package(sealed.package, sealed.trust, clock=clock)
    assert report.faults == []
    assert report.timestamp is not None
    assert report.custody_records == 3
    assert sealed.package.stat().st_mode & 0o777 == 0o555
    with pytest.raises(EvidenceError, match="already"):
        add_timestamp(sealed.package, actor=ANA, signer=sealed.signer, clock=clock, stamp=stamper(authority))


def test_a_killed_sealing_leaves_nothing_and_a_repeat_succeeds(tmp_path: Path) -> None:
    def dies() -> Iterator[bytes]:
        yield b"some"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal(tmp_path, StreamSource("cut off", dies()))
    vault = LocalVault(tmp_path / "evidence")
    assert vault.find("EV-INC-1-0a1b2c3d") is None
    (tmp_path / "trust/allowed_signers").unlink()
    (tmp_path / "trust/verify.sh").unlink()
    (tmp_path / "trust").rmdir()
    (tmp_path / "key").unlink()
    sealed = seal(tmp_path)
    assert verify_package(sealed.package, sealed.trust, clock=FixedClock(SEALED_AT)).status is Status.VERIFIED
    assert [path.name for path in (tmp_path / "evidence").iterdir()] == ["EV-INC-1-0a1b2c3d"]


SEALER = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from support.evidence_packages import seal
from snaphold.evidence.payload import StreamSource

def endless():
    while True:
        print("writing", flush=True)
        yield os.urandom(1024)
        time.sleep(0.01)

seal(Path(sys.argv[1]), StreamSource("endless", endless()))
"""


@pytest.mark.slow
def test_a_sealing_that_is_killed_by_the_system_leaves_nothing(tmp_path: Path) -> None:
    tests = str(Path(__file__).resolve().parents[1])
    (tmp_path / "first").mkdir()
    command = [sys.executable, "-c", SEALER, str(tmp_path / "first"), tests]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as sealer:
        assert sealer.stdout is not None
        assert sealer.stdout.readline() == b"writing\n"
        sealer.kill()
    store = tmp_path / "first/evidence"
    assert [path.name for path in store.iterdir()] == [".staging-EV-INC-1-0a1b2c3d"]
    (tmp_path / "second").mkdir()
    store.rename(tmp_path / "second/evidence")
    sealed = seal(tmp_path / "second")
    assert verify_package(sealed.package, sealed.trust, clock=FixedClock(SEALED_AT)).status is Status.VERIFIED
    assert [path.name for path in sealed.package.parent.iterdir()] == ["EV-INC-1-0a1b2c3d"]
