"""Reads OpenSSH allowed-signers files (ssh-keygen(1), ALLOWED SIGNERS): who may sign what with which key, and when."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import re
from dataclasses import dataclass
from datetime import datetime, timezone

from snaphold.errors import UnverifiedEvidenceError

_OPTION = re.compile(r'([A-Za-z-]+)(?:="((?:[^"\\]|\\.)*)")?(?:,|(?=\s))')
_TIME_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_KEY_TYPES = ("ssh-", "ecdsa-", "sk-")


@dataclass(frozen=True)
class AllowedSigner:
    """One line: patterns of identities, the key (wire form), namespaces (None: any) and validity."""

    principals: tuple[str, ...]
    key: bytes
    namespaces: tuple[str, ...] | None = None
    valid_after: datetime | None = None
    valid_before: datetime | None = None

    def names(self, identity: str) -> bool:
        """Return whether the line is about this identity; a pattern with `!` excludes."""
        return _matches(identity, self.principals)

    def allows(self, namespace: str) -> bool:
        """Return whether the key may sign in this namespace."""
        return self.namespaces is None or _matches(namespace, self.namespaces)


def parse_allowed_signers(text: str) -> list[AllowedSigner]:
    """Return the lines of an allowed-signers file; certificate authorities are left out, they are not supported.

    Raises UnverifiedEvidenceError with the line number when a line cannot be read.
    """
    found: list[AllowedSigner] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line and not line.startswith("#"):
            signer = _parse_line(line, number)
            if signer:
                found.append(signer)
    return found


def _parse_line(line: str, number: int) -> AllowedSigner | None:
    principals, _, rest = line.partition(" ")
    rest = rest.lstrip()
    options: dict[str, str] = {}
    while rest and not rest.startswith(_KEY_TYPES):
        match = _OPTION.match(rest)
        if not match:
            raise _unreadable(number, "its options cannot be read")
        options[match[1].lower()] = match[2] or ""
        rest = rest[match.end() :].lstrip()
    unknown = set(options) - {"namespaces", "valid-after", "valid-before", "cert-authority"}
    if unknown:
        # An option that is not understood could be a restriction.
        raise _unreadable(number, f"the option {sorted(unknown)[0]} is unknown")
    if "cert-authority" in options:
        return None
    parts = rest.split()
    try:
        key = base64.b64decode(parts[1], validate=True)
        return AllowedSigner(
            tuple(principals.strip('"').split(",")),
            key,
            tuple(options["namespaces"].split(",")) if "namespaces" in options else None,
            _parse_moment(options["valid-after"]) if "valid-after" in options else None,
            _parse_moment(options["valid-before"]) if "valid-before" in options else None,
        )
    except (IndexError, binascii.Error) as error:
        raise _unreadable(number, "its key cannot be read") from error
    except ValueError as error:
        raise _unreadable(number, str(error)) from error


def _parse_moment(text: str) -> datetime:
    digits = text.rstrip("Zz")
    if len(digits) not in _TIME_FORMATS or not digits.isdigit():
        raise ValueError(f"{text!r} is not YYYYMMDD[HHMM[SS]][Z]")
    moment = datetime.strptime(digits, _TIME_FORMATS[len(digits)])  # noqa: DTZ007  the zone is added below
    # OpenSSH reads a time without Z in the local zone.
    return moment.replace(tzinfo=timezone.utc) if text != digits else moment.astimezone(timezone.utc)


def _matches(value: str, patterns: tuple[str, ...]) -> bool:
    if any(_match_one(value, pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_match_one(value, pattern) for pattern in patterns if not pattern.startswith("!"))


def _match_one(value: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _unreadable(number: int, why: str) -> UnverifiedEvidenceError:
    return UnverifiedEvidenceError(f"line {number} of allowed_signers cannot be used", why, "correct the line")
