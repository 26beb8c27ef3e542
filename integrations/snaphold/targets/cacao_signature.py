"""Signs CACAO documents and checks their signatures, as section 7 of the specification says.

The document without signatures, plus this signature without its value, is written in canonical JSON (RFC 8785); what is
signed is the hex text of its SHA-256. Both algorithms here give the same signature for the same document and key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from snaphold.errors import EvidenceError, InputError, UnverifiedEvidenceError
from snaphold.targets.base import stable_uuid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

RS256, ED25519 = "RS256", "Ed25519"
HASH = "sha-256"
_LARGEST_INTEGER = 2**53
_SMALLEST_RSA_BITS = 2048


def sign_files(files: Mapping[str, bytes], key: Path) -> dict[str, bytes]:
    """Return CACAO files with a signature each. Raises InputError when the key cannot be used."""
    private = load_key(key)
    signed = ((path, sign_cacao(json.loads(content), private)) for path, content in files.items())
    return {path: (json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode() for path, made in signed}


def load_key(path: Path) -> RSAPrivateKey | Ed25519PrivateKey:
    """Return the RSA or Ed25519 private key in a PEM or OpenSSH file without a password. Raises InputError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the key {path} cannot be read", error.strerror, "check the path and its permissions") from error
    load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
    try:
        key = load(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"the key {path} cannot be used", str(error).splitlines()[0], "give a PEM key without a password"
        ) from error
    if isinstance(key, RSAPrivateKey) and key.key_size >= _SMALLEST_RSA_BITS:
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise InputError(f"the key {path} cannot sign CACAO", f"it must be Ed25519, or RSA of at least {_SMALLEST_RSA_BITS} bits")


def sign_cacao(document: Mapping[str, Any], key: RSAPrivateKey | Ed25519PrivateKey) -> dict[str, Any]:
    """Return the document with one signature more. Times come from the document, so that signing again changes nothing."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode("ascii")
    signature = {
        "type": "jss",
        "id": f"jss--{stable_uuid(str(document['id']), hashlib.sha256(public.encode()).hexdigest(), 'cacao signature')}",
        "created": document["modified"],
        "modified": document["modified"],
        "signee": str(document["created_by"]),
        "related_to": document["id"],
        "related_version": document["modified"],
        "hash_algorithm": HASH,
        "algorithm": ED25519 if isinstance(key, Ed25519PrivateKey) else RS256,
        "public_key": public,
    }
    message = signed_text(document, signature)
    value = key.sign(message) if isinstance(key, Ed25519PrivateKey) else key.sign(message, PKCS1v15(), SHA256())
    signature["value"] = base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
    kept = [found for found in document.get("signatures", []) if found["id"] != signature["id"]]
    return {**document, "signatures": [*kept, signature]}


def verify_cacao(document: Mapping[str, Any], signature: Mapping[str, Any]) -> None:
    """Return when the signature is by the public key that it names. Whose key that is, the caller must know.

    Raises EvidenceError when it is not, UnverifiedEvidenceError when it cannot be checked here.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    key = _public_key(str(signature.get("public_key", "")))
    algorithm, hashed = signature.get("algorithm"), signature.get("hash_algorithm")
    if hashed != HASH:
        raise UnverifiedEvidenceError("the signature cannot be checked", f"its hash is {hashed}, not {HASH}")
    text = str(signature.get("value", ""))
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        message = signed_text(document, {name: item for name, item in signature.items() if name != "value"})
        if algorithm == RS256 and isinstance(key, RSAPublicKey):
            key.verify(value, message, PKCS1v15(), SHA256())
        elif algorithm == ED25519 and isinstance(key, Ed25519PublicKey):
            key.verify(value, message)
        else:
            raise UnverifiedEvidenceError(
                "the signature cannot be checked", f"the algorithm is {algorithm}, with another kind of key"
            )
    except (InvalidSignature, ValueError) as error:
        raise EvidenceError("the signature is wrong", "the document or the signature was changed") from error


def signed_text(document: Mapping[str, Any], signature: Mapping[str, Any]) -> bytes:
    """Return what is signed: the lower-case hex of the SHA-256 of the canonical document."""
    whole = {**{name: value for name, value in document.items() if name != "signatures"}, "signatures": [dict(signature)]}
    return hashlib.sha256(canonical(whole)).hexdigest().encode("ascii")


def canonical(document: Any) -> bytes:
    """Return canonical JSON (RFC 8785). Raises InputError for what this does not write: non-ASCII keys, unusual numbers."""
    return json.dumps(_plain(document), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        if not all(key.isascii() for key in found):
            # RFC 8785 sorts by UTF-16 units, Python by code points: they agree on ASCII.
            raise InputError("the document cannot be signed", "a key is not ASCII")
        return {key: _plain(item) for key, item in found.items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, float):
        whole = value.is_integer()
        if not math.isfinite(value) or not (whole or 1e-6 <= abs(value) < 1e21):  # noqa: PLR2004  written alike only there
            raise InputError("the document cannot be signed", f"the number {value} has no one way to be written")
        return int(value) if whole else value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_INTEGER:
        raise InputError("the document cannot be signed", f"the number {value} is too large for JSON")
    return value


def _public_key(text: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

    try:
        if text.lstrip().startswith("-----BEGIN"):
            return load_pem_public_key(text.encode("ascii"))
        return load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnverifiedEvidenceError("the signature cannot be checked", "it names no public key that can be read") from error
