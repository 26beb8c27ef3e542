"""Reads OpenSSH revocation lists: binary KRLs (PROTOCOL.krl) and plain lists of public keys."""

from __future__ import annotations

import base64
import binascii
import hashlib

from snaphold.errors import UnverifiedEvidenceError

_MAGIC = b"SSHKRL\n\x00"
_VERSION = (1).to_bytes(4, "big")
_CERTIFICATES, _EXPLICIT_KEYS, _SHA1, _SIGNATURE, _SHA256, _EXTENSION = 1, 2, 3, 4, 5, 255
_HEADER = 8 + 4 + 8 + 8 + 8


def is_revoked(public_key: bytes, revoked: bytes) -> bool:
    """Return whether a public key (wire form) stands in a KRL or a list of public keys.

    The KRL's own signature is not looked at, as ssh-keygen does not: the file is trusted because of where it lies.
    Raises UnverifiedEvidenceError when the list cannot be read to its end.
    """
    if revoked.startswith(_MAGIC):
        return _in_krl(public_key, revoked)
    return _in_text(public_key, revoked)


def _in_text(public_key: bytes, revoked: bytes) -> bool:
    for line in revoked.decode("utf-8", "replace").splitlines():
        words = line.strip().split()
        if not words or words[0].startswith("#"):
            continue
        for word in words[:2]:
            if word.startswith("SHA256:") and word[7:] == _fingerprint(public_key):
                return True
        try:
            if len(words) > 1 and base64.b64decode(words[1], validate=True) == public_key:
                return True
        except binascii.Error as error:
            if not words[0].startswith(("SHA256:", "sha256:", "hash:")):
                raise _unreadable("a line is not a public key") from error
    return False


def _fingerprint(public_key: bytes) -> str:
    return base64.b64encode(hashlib.sha256(public_key).digest()).decode("ascii").rstrip("=")


def _in_krl(public_key: bytes, krl: bytes) -> bool:
    if krl[8:12] != _VERSION:
        raise _unreadable("its version is unknown")
    rest = krl[_HEADER:]
    for _ in ("reserved", "comment"):
        _, rest = _take(rest)
    while rest:
        kind = rest[0]
        section, rest = _take(rest[1:])
        if kind == _SIGNATURE:
            return False
        if kind in (_CERTIFICATES, _EXTENSION):
            continue
        wanted = {
            _EXPLICIT_KEYS: public_key,
            _SHA1: hashlib.sha1(public_key, usedforsecurity=False).digest(),
            _SHA256: hashlib.sha256(public_key).digest(),
        }.get(kind)
        if wanted is None:
            raise _unreadable(f"it has a section of the unknown kind {kind}")
        while section:
            value, section = _take(section)
            if value == wanted:
                return True
    return False


def _take(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) - 4 < length:  # noqa: PLR2004  a length is four bytes
        raise _unreadable("it ends too early")
    return data[4 : 4 + length], data[4 + length :]


def _unreadable(why: str) -> UnverifiedEvidenceError:
    return UnverifiedEvidenceError("the revocation list cannot be read", why, "make it anew with ssh-keygen -k")
