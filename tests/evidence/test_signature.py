"""SSHSIG against the real ssh-keygen, both ways."""

from __future__ import annotations

import base64
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest

from snaphold.errors import EvidenceError, InputError, SnapholdError, UnverifiedEvidenceError
from snaphold.evidence.signature import ExpiredKeyError, Signer, create_key, verify_signature
from support.needs import need_program

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)
NAMESPACE = "evidence@snaphold"
MESSAGE = b"tag manifest\n"


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return read_signer(tmp_path / "key")


def read_signer(path: Path) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    public = create_key(path)
    key = load_ssh_private_key(path.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return Signer("custodian@soc", public, key)


def line(signer: Signer, options: str = f'namespaces="{NAMESPACE}"', identity: str = "custodian@soc") -> str:
    return f"{identity} {options} {signer.public_key}\n".replace("  ", " ")


def check(signer: Signer, allowed: str, message: bytes = MESSAGE, **given: object) -> None:
    arguments: dict[str, object] = {"namespace": NAMESPACE, "identity": "custodian@soc", "at": NOW, **given}
    armoured = str(arguments.pop("armoured", signer.sign(MESSAGE, NAMESPACE)))
    verify_signature(message, armoured, allowed_signers=allowed, **arguments)  # type: ignore[arg-type]


def ssh_keygen(*arguments: str | Path, message: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([need_program("ssh-keygen"), *map(str, arguments)], input=message, capture_output=True, check=False)


def test_ssh_keygen_accepts_our_signature_and_refuses_another_message(signer: Signer, tmp_path: Path) -> None:
    (tmp_path / "allowed").write_text(line(signer))
    (tmp_path / "m.sig").write_text(signer.sign(MESSAGE, NAMESPACE))
    verify = ("-Y", "verify", "-f", tmp_path / "allowed", "-I", "custodian@soc", "-n", NAMESPACE, "-s", tmp_path / "m.sig")
    assert ssh_keygen(*verify, message=MESSAGE).returncode == 0
    assert ssh_keygen(*verify, message=MESSAGE + b"x").returncode != 0


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_a_signature_of_ssh_keygen_is_accepted(tmp_path: Path, hash_name: str) -> None:
    ssh_keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key", "-C", "a comment")
    (tmp_path / "m").write_bytes(MESSAGE)
    done = ssh_keygen("-Y", "sign", "-q", "-O", f"hashalg={hash_name}", "-f", tmp_path / "key", "-n", NAMESPACE, tmp_path / "m")
    assert done.returncode == 0, done.stderr
    allowed = "custodian@soc " + (tmp_path / "key.pub").read_text()
    verify_signature(
        MESSAGE,
        (tmp_path / "m.sig").read_text(),
        namespace=NAMESPACE,
        identity="custodian@soc",
        allowed_signers=allowed,
        at=NOW,
    )


def test_ssh_keygen_reads_the_key_that_we_make(tmp_path: Path) -> None:
    public = create_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert ssh_keygen("-y", "-f", tmp_path / "key").stdout.decode().split()[:2] == public.split()[:2]
    with pytest.raises(InputError, match="exists already"):
        create_key(tmp_path / "key")


@pytest.mark.parametrize(
    ("options", "identity", "reason"),
    [
        ('namespaces="other"', "custodian@soc", "wrong namespace"),
        ('valid-after="20270101Z"', "custodian@soc", "not yet valid"),
        ('valid-before="20261122180000Z"', "custodian@soc", "expired"),
        (f'namespaces="{NAMESPACE}"', "somebody@else", "does not belong"),
        (f'namespaces="{NAMESPACE}"', "*@soc,!custodian@*", "does not belong"),
    ],
)
def test_a_key_that_may_not_sign_is_refused_with_the_reason(signer: Signer, options: str, identity: str, reason: str) -> None:
    with pytest.raises(EvidenceError, match=reason):
        check(signer, line(signer, options, identity))


@pytest.mark.parametrize(
    "options",
    [
        "",
        f'namespaces="x,{NAMESPACE}"',
        'valid-after="20260101Z",valid-before="20271231Z"',
        'namespaces="*@snaphold",valid-before="20261122180001Z"',
    ],
)
def test_a_key_that_may_sign_is_accepted(signer: Signer, options: str) -> None:
    check(signer, "# a comment\n\n" + line(signer, options))
    check(signer, line(signer, options, "*@soc"))


def test_an_ended_validity_is_told_apart_from_a_bad_signature(signer: Signer) -> None:
    with pytest.raises(ExpiredKeyError):
        check(signer, line(signer, 'valid-before="20200101Z"'))


def test_an_unknown_key_is_refused(signer: Signer, tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="unknown"):
        check(signer, line(read_signer(tmp_path / "other")))


def test_a_signature_for_another_namespace_is_refused(signer: Signer) -> None:
    with pytest.raises(EvidenceError, match="wrong namespace"):
        check(signer, line(signer), armoured=signer.sign(MESSAGE, "ledger@snaphold"))


def test_a_changed_message_is_refused(signer: Signer) -> None:
    with pytest.raises(EvidenceError, match="does not fit"):
        check(signer, line(signer), message=MESSAGE + b"\n")


def test_without_trusted_keys_nothing_is_verified(signer: Signer) -> None:
    with pytest.raises(UnverifiedEvidenceError):
        check(signer, "# nobody\n")
    with pytest.raises(UnverifiedEvidenceError, match="line 1"):
        check(signer, line(signer, 'new-restriction="x"'))


@pytest.mark.parametrize("form", ["krl", "krl-sha256", "krl-sha1", "text"])
def test_a_revoked_key_is_refused(signer: Signer, tmp_path: Path, form: str) -> None:
    public = tmp_path / "key.pub"
    public.write_text(signer.public_key + "\n")
    listed = public
    if form.startswith("krl"):
        _, _, kind = form.partition("-")
        (tmp_path / "spec").write_text(f"{kind}: {signer.public_key}\n" if kind else signer.public_key + "\n")
        listed = tmp_path / "krl"
        assert ssh_keygen("-k", "-q", "-f", listed, tmp_path / "spec").returncode == 0
    with pytest.raises(EvidenceError, match="revoked"):
        check(signer, line(signer), revoked=listed.read_bytes())


def test_another_revoked_key_does_not_matter_and_a_broken_list_is_not_ignored(signer: Signer, tmp_path: Path) -> None:
    other = read_signer(tmp_path / "other")
    (tmp_path / "other.pub").write_text(other.public_key + "\n")
    assert ssh_keygen("-k", "-q", "-f", tmp_path / "krl", tmp_path / "other.pub").returncode == 0
    krl = (tmp_path / "krl").read_bytes()
    check(signer, line(signer), revoked=krl)
    check(signer, line(signer), revoked=b"")
    with pytest.raises(UnverifiedEvidenceError):
        check(signer, line(signer), revoked=krl[:-5])


def test_no_flipped_bit_of_a_signature_goes_unnoticed(signer: Signer) -> None:
    armoured = signer.sign(MESSAGE, NAMESPACE).encode()
    for position in range(0, len(armoured) - 1):
        changed = bytearray(armoured)
        changed[position] ^= 1
        with pytest.raises(SnapholdError):
            check(signer, line(signer), armoured=changed.decode("latin-1"))


def test_a_key_of_another_type_is_unverifiable_not_verified(signer: Signer) -> None:
    blob = base64.b64decode("".join(signer.sign(MESSAGE, NAMESPACE).splitlines()[1:-1]))
    changed = base64.b64encode(blob.replace(b"ssh-ed25519", b"ssh-ed44819")).decode()
    lines = [changed[start : start + 70] for start in range(0, len(changed), 70)]
    armoured = "\n".join(("-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""))
    with pytest.raises(UnverifiedEvidenceError):
        check(signer, line(signer), armoured=armoured)
