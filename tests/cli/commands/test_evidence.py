"""`snaphold evidence` and `snaphold key`: what a stranger types, and the exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from snaphold.cli.main import main
from snaphold.identity import current_login
from support.evidence_packages import IDENTITY, Sealed, copy_sealed, rewrite, seal
from support.ledgers import configure
from support.needs import need_program
from support.timestamp_authority import make_authority, serve


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return seal(tmp_path_factory.mktemp("original"))


@pytest.fixture
def sealed(original: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sealed:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNAPHOLD_CONFIG", raising=False)
    return copy_sealed(original, tmp_path)


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_stranger_verifies_without_any_configuration(sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "evidence", "verify", sealed.package)
    assert code == 0
    assert out.startswith("EV-INC-1-0a1b2c3d: verified\n")
    assert "note: the package is not time-stamped" in out


def test_the_answer_for_programs_has_everything(sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "evidence", "verify", "--json", sealed.package)
    document = json.loads(out)
    assert code == 0
    assert document["status"] == "verified"
    assert document["signed_by"] == IDENTITY
    assert (document["payload_files"], document["custody_records"], document["faults"]) == (2, 2, [])


def test_a_changed_package_gives_exit_code_1_and_names_the_file(sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(sealed.package / "data/E0001.img", b"other")
    code, out, _ = run(capsys, "evidence", "verify", sealed.package)
    assert code == 1
    assert "failed: data/E0001.img: was changed" in out


def test_what_cannot_be_judged_gives_exit_code_3(sealed: Sealed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    code, out, _ = run(capsys, "evidence", "verify", sealed.package, "--trust", tmp_path / "empty")
    assert code == 3
    assert "unverifiable" in out
    shutil.rmtree(sealed.trust_folder)
    assert run(capsys, "evidence", "verify", sealed.package)[0] == 3


def test_bad_input_gives_exit_code_2(sealed: Sealed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ("evidence", "verify", tmp_path / "gone"),
        ("evidence", "verify", sealed.package, "--trust", tmp_path / "gone"),
        ("evidence", "verify", sealed.package, "--at", "yesterday"),
        ("evidence", "verify", sealed.package, "--anchor", tmp_path / "gone"),
        ("evidence", "compare", tmp_path, tmp_path / "gone"),
        ("evidence", "compare", tmp_path, sealed.package / "bagit.txt"),
    ):
        code, _, err = run(capsys, *words)
        assert code == 2, words
        assert err.startswith("error: ")


def test_anchor_identity_and_time_are_used(sealed: Sealed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anchor = tmp_path / "anchor"
    shutil.copy(sealed.package / "custody/checkpoint-000002", anchor)
    verify = ("evidence", "verify", sealed.package)
    assert run(capsys, *verify, "--anchor", anchor, "--at", "2026-11-22T18:00:00Z", "--identity", IDENTITY)[0] == 0
    assert run(capsys, *verify, "--identity", "mallory@soc")[0] == 1
    assert run(capsys, *verify, "--at", "2001-01-01T00:00:00Z")[0] == 1


def test_a_hostile_file_name_cannot_reach_the_terminal(sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    Path(os.fsdecode(os.fsencode(sealed.package / "data") + b"/\x1b[2J\xff")).write_text("x")
    code, out, _ = run(capsys, "evidence", "verify", sealed.package)
    assert code == 1
    assert "\x1b" not in out
    code, out, _ = run(capsys, "evidence", "verify", "--json", sealed.package)
    assert json.loads(out)["status"] == "failed"


def test_two_folders_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    (tmp_path / "after/new").write_text("x")
    code, out, _ = run(capsys, "evidence", "compare", tmp_path / "before", tmp_path / "after")
    assert code == 0
    assert "1 added" in out


def test_a_pattern_gives_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "before").mkdir()
    for number in range(12):
        (tmp_path / f"before/{number}.txt").write_text("words " * 200)
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    for path in list((tmp_path / "after").iterdir()):
        path.write_bytes(os.urandom(1024))
    words = ("evidence", "compare", "--json", tmp_path / "before", tmp_path / "after", "--report", tmp_path / "report.jsonl")
    code, out, _ = run(capsys, *words)
    assert code == 3
    document = json.loads(out)
    assert document["counts"]["modified"] == 12
    assert document["patterns"][0]["name"] == "mass encryption"
    assert len((tmp_path / "report.jsonl").read_text().splitlines()) >= 13


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_configuration(tmp_path)


def write_configuration(folder: Path, **changes: object) -> Path:
    people = [{"id": "ana", "name": "Ana Ruiz", "logins": [current_login()]}]
    configuration = configure(folder, sign=False, people=people, roles=[], **changes)
    document = configuration.model_dump(mode="json", exclude_defaults=True)
    path = folder / "snaphold.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return path


def test_a_key_and_its_trust_folder_are_made_once(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "key", "create", "--json", "--config", site)
    assert code == 0
    document = json.loads(out)
    assert Path(document["key"]).stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in out
    signers = (site.parent / "trust/allowed_signers").read_text()
    assert document["public_key"].split()[1] in signers
    assert (site.parent / "trust/verify.sh").stat().st_mode & 0o111
    key = Path(document["key"]).read_bytes()
    code, _, err = run(capsys, "key", "create", "--config", site)
    assert code == 2
    assert "never overwritten" in err
    assert Path(document["key"]).read_bytes() == key


def test_ssh_keygen_accepts_what_the_new_key_signs(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from snaphold.config import load_configuration
    from snaphold.evidence.signature import load_signer

    run(capsys, "key", "create", "--config", site)
    signer = load_signer(load_configuration(site))
    for namespace in ("evidence@snaphold", "ledger@snaphold", "grant@snaphold"):
        (site.parent / "s.sig").write_text(signer.sign(b"m", namespace))
        command = [
            "ssh-keygen",
            "-Y",
            "verify",
            "-f",
            "trust/allowed_signers",
            "-I",
            signer.identity,
            "-n",
            namespace,
            "-s",
            "s.sig",
        ]
        need_program("ssh-keygen")
        done = subprocess.run(command, input=b"m", cwd=site.parent, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_package_is_time_stamped_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sealed = seal(tmp_path / "sealed") if (tmp_path / "sealed").mkdir() is None else None
    assert sealed
    authority = make_authority(tmp_path / "authority")
    with serve(authority) as url:
        evidence = {
            "signing_key": f"file:{tmp_path / 'sealed/key'}",
            "identity": IDENTITY,
            "time_stamping": {"url": url, "ca_file": str(authority.ca), "timeout": "4m"},
        }
        site = write_configuration(tmp_path, evidence=evidence)
        code, out, err = run(capsys, "evidence", "timestamp", sealed.package, "--config", site)
    assert code == 0, err
    assert "time-stamped at" in out
    shutil.copy(authority.ca, sealed.trust_folder / "tsa-ca.pem")
    code, out, _ = run(capsys, "evidence", "verify", sealed.package)
    assert code == 0, out
    assert "time stamp 20" in out
    assert "3 records" in out


def test_without_an_authority_time_stamping_is_bad_input(site: Path, sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "evidence", "timestamp", sealed.package, "--config", site)
    assert code == 2
    assert "time_stamping" in err


def test_help_does_not_load_the_heavy_parts() -> None:
    script = (
        "import sys; from snaphold.cli.main import main\ntry: main(['evidence', 'verify', '--help'])\nexcept SystemExit: pass\n"
    )
    script += "print([name for name in ('cryptography', 'requests', 'rfc3161_client') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == b"[]"


def test_a_folder_that_is_no_package_is_bad_input_and_the_packages_in_it_are_named(
    sealed: Sealed, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "evidence", "verify", sealed.package.parent)
    assert (code, out) == (2, "")
    assert "is not an evidence package" in err
    assert f"packages in it: {sealed.package}" in err
    assert run(capsys, "evidence", "verify", sealed.trust_folder)[0] == 2


def test_many_faults_of_one_kind_are_told_on_one_screen_and_all_named_for_programs(
    sealed: Sealed, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed.package.chmod(0o755)
    for number in range(300):
        (sealed.package / f"added-{number:03}").write_bytes(b"x")
    code, out, _ = run(capsys, "evidence", "verify", sealed.package)
    assert code == 1
    assert len(out.splitlines()) < 24
    assert "failed: added-000: is not listed in any manifest" in out
    assert "failed: 290 more files: is not listed in any manifest" in out
    faults = json.loads(run(capsys, "evidence", "verify", "--json", sealed.package)[1])["faults"]
    assert {fault["where"] for fault in faults} >= {f"added-{number:03}" for number in range(300)}


def test_a_package_whose_parts_were_removed_is_still_judged(sealed: Sealed, capsys: pytest.CaptureFixture[str]) -> None:
    sealed.package.chmod(0o755)
    for name in ("bagit.txt", "tagmanifest-sha256.txt", "manifest-sha256.txt"):
        (sealed.package / name).unlink()
    code, out, _ = run(capsys, "evidence", "verify", sealed.package)
    assert code == 1
    assert "incomplete: tagmanifest-sha256.txt: is missing" in out
