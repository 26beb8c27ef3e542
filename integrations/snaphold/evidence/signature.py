"""SSHSIG signatures with Ed25519 (OpenSSH PROTOCOL.sshsig), made and checked without any program.

What is signed here verifies with stock `ssh-keygen -Y verify`, and the other way round.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from snaphold.errors import EvidenceError, InputError, StorageError, UnverifiedEvidenceError
from snaphold.evidence.allowed_signers import AllowedSigner, parse_allowed_signers
from snaphold.evidence.revocation import is_revoked
from snaphold.secrets import resolve, secret_path

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from snaphold.config import Configuration

EVIDENCE_NAMESPACE = "evidence@snaphold"
LEDGER_NAMESPACE = "ledger@snaphold"
GRANT_NAMESPACE = "grant@snaphold"

_MAGIC = b"SSHSIG"
_KEY_TYPE = b"ssh-ed25519"
_BEGIN = "-----BEGIN SSH SIGNATURE-----"
_END = "-----END SSH SIGNATURE-----"
_LINE = 70
_ARMOUR = re.compile(rf"{_BEGIN}\n((?:[A-Za-z0-9+/=]{{1,{_LINE}}}\n)+){_END}\n?")
_LONGEST_ARMOUR = 16 * 1024
_HASHES = {b"sha256", b"sha512"}


class ExpiredKeyError(EvidenceError):
    """The key's validity had ended at the time of the check. A signature made before that may still be good."""


@dataclass(frozen=True)
class Signer:
    """A signing key: its name in allowed_signers, and its public half as one OpenSSH line."""

    identity: str
    public_key: str
    key: Ed25519PrivateKey = field(repr=False)

    def sign(self, message: bytes, namespace: str) -> str:
        """Return the armoured SSHSIG signature of a message in a namespace."""
        signature = self.key.sign(_to_be_signed(namespace.encode(), b"sha512", message))
        blob = b"".join(
            (
                _MAGIC,
                (1).to_bytes(4, "big"),
                _string(base64.b64decode(self.public_key.split()[1])),
                _string(namespace.encode()),
                _string(b""),
                _string(b"sha512"),
                _string(_string(_KEY_TYPE) + _string(signature)),
            )
        )
        return _armour(blob)


def load_signer(configuration: Configuration) -> Signer:
    """Return the custodian's signer that the configuration names. Raises InputError when the key is missing or unfit."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    settings = configuration.evidence
    if settings.signing_key.startswith("file:"):
        path = secret_path(settings.signing_key, configuration.base)
        if not path.exists():
            raise InputError("there is no signing key", f"{path} does not exist", "make one with: snaphold key create")
    text = resolve(settings.signing_key, configuration.base)
    try:
        key = load_ssh_private_key(text.encode() + b"\n", password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(
            "the signing key cannot be used",
            "it is not an OpenSSH private key without a passphrase",
            "make one with: snaphold key create",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError("the signing key is not an Ed25519 key", do="make one with: snaphold key create")
    return Signer(settings.identity, _public_line(key), key)


def create_key(path: Path) -> str:
    """Make a new Ed25519 key in OpenSSH form (mode 0600) at `path`; return its public line.

    Raises InputError, changing nothing, when something stands there already.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise InputError(
            f"{path} exists already", "a signing key is never overwritten", "move it away, or name another file"
        ) from error
    except OSError as error:
        raise StorageError(f"the key {path} cannot be written", error.strerror, "check path and owner") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StorageError(f"the key {path} cannot be written", error.strerror, "free some space") from error
    return _public_line(key)


def verify_signature(
    message: bytes,
    armoured: str,
    *,
    namespace: str,
    identity: str,
    allowed_signers: str,
    at: datetime,
    revoked: bytes | None = None,
) -> None:
    """Return when `identity` signed the message in the namespace with a key that was valid at `at`.

    `allowed_signers` is the text of an OpenSSH allowed-signers file, `revoked` a KRL or a list of public keys.
    Raises EvidenceError with the reason when the signature is bad (ExpiredKeyError when only the key's end has
    passed), UnverifiedEvidenceError when it cannot be checked here.
    """
    blob = _dearmour(armoured)
    public, signed_namespace, hash_name, signature = _parse(blob)
    if signed_namespace != namespace.encode():
        shown = signed_namespace.decode("utf-8", "backslashreplace")
        raise EvidenceError("the signature has the wrong namespace", f"it says {shown}, not {namespace}")
    _check_bytes(public, signature, _to_be_signed(signed_namespace, hash_name, message))
    signers = parse_allowed_signers(allowed_signers)
    if not signers:
        raise UnverifiedEvidenceError(
            "the signature cannot be judged", "the list of allowed signers is empty", "get allowed_signers from the custodian"
        )
    if revoked is not None and is_revoked(public, revoked):
        raise EvidenceError("the signing key is revoked", "it stands in the revocation list")
    _judge(signers, public, identity, namespace, at)


def _judge(signers: list[AllowedSigner], public: bytes, identity: str, namespace: str, at: datetime) -> None:
    """Return when one line allows the key; else raise with the reason of the line that comes nearest."""
    mine = [signer for signer in signers if signer.key == public]
    if not mine:
        raise EvidenceError("the signing key is unknown", "it does not stand in allowed_signers", "ask the custodian")
    mine = [signer for signer in mine if signer.names(identity)]
    if not mine:
        raise EvidenceError(f"the signing key does not belong to {identity}", "allowed_signers gives it to somebody else")
    mine = [signer for signer in mine if signer.allows(namespace)]
    if not mine:
        raise EvidenceError("the signing key has the wrong namespace", f"allowed_signers does not give it {namespace}")
    begun = [signer for signer in mine if signer.valid_after is None or signer.valid_after <= at]
    if not begun:
        raise EvidenceError("the signing key is not yet valid", f"its validity begins after {at:%Y-%m-%d %H:%M:%S} UTC")
    if not any(signer.valid_before is None or at < signer.valid_before for signer in begun):
        raise ExpiredKeyError(
            "the signing key has expired",
            f"its validity ended before {at:%Y-%m-%d %H:%M:%S} UTC",
            "give the time of signing with --at when you know it from another source",
        )


def _check_bytes(public: bytes, signature: bytes, signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    kind, rest = _take(public)
    if kind != _KEY_TYPE:
        shown = kind.decode("ascii", "backslashreplace")
        raise UnverifiedEvidenceError(
            "the signature cannot be checked",
            f"its key is of type {shown}, only ssh-ed25519 is known",
            "use ssh-keygen -Y verify",
        )
    raw, _ = _take(rest)
    signature_kind, signature_rest = _take(signature)
    value, left = _take(signature_rest)
    if signature_kind != _KEY_TYPE or left:
        raise EvidenceError("the signature is malformed", "its type differs from its key's")
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(value, signed)
    except (InvalidSignature, ValueError) as error:
        raise EvidenceError("the signature does not fit", "the signed file was changed, or the signature was") from error


def _public_line(key: Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def _to_be_signed(namespace: bytes, hash_name: bytes, message: bytes) -> bytes:
    digest = hashlib.new(hash_name.decode("ascii"), message).digest()
    return _MAGIC + _string(namespace) + _string(b"") + _string(hash_name) + _string(digest)


def _armour(blob: bytes) -> str:
    text = base64.b64encode(blob).decode("ascii")
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    return "\n".join((_BEGIN, *lines, _END, ""))


def _dearmour(armoured: str) -> bytes:
    match = _ARMOUR.fullmatch(armoured) if len(armoured) <= _LONGEST_ARMOUR else None
    if not match:
        raise EvidenceError("the signature is malformed", "it is not an armoured SSH signature")
    try:
        blob = base64.b64decode(match[1].replace("\n", ""), validate=True)
    except binascii.Error as error:
        raise EvidenceError("the signature is malformed", "its base64 does not decode") from error
    # Base64 has several spellings of the same bytes: only the one that was written counts as unchanged.
    if _armour(blob).rstrip("\n") != armoured.rstrip("\n"):
        raise EvidenceError("the signature is malformed", "its armour was changed")
    return blob


def _parse(blob: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return public key, namespace, hash name and signature of an SSHSIG blob."""
    if not blob.startswith(_MAGIC) or blob[6:10] != (1).to_bytes(4, "big"):
        raise EvidenceError("the signature is malformed", "it is not an SSHSIG of version 1")
    public, rest = _take(blob[10:])
    namespace, rest = _take(rest)
    reserved, rest = _take(rest)
    hash_name, rest = _take(rest)
    signature, rest = _take(rest)
    if rest or reserved or hash_name not in _HASHES:
        raise EvidenceError("the signature is malformed", "it has unknown parts")
    return public, namespace, hash_name, signature


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _take(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) - 4 < length:  # noqa: PLR2004  a length is four bytes
        raise EvidenceError("the signature is malformed", "it ends too early")
    return data[4 : 4 + length], data[4 + length :]
