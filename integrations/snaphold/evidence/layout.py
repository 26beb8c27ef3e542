"""Where things stand in an evidence package: BagIt 1.0 layout plus signature, time stamp and custody log."""

from __future__ import annotations

import re

BAGIT = "bagit.txt"
BAGIT_TEXT = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
BAG_INFO = "bag-info.txt"
DATA = "data"
METADATA = "metadata"
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"
SIGNATURE = TAG_MANIFEST + ".sig"
TIMESTAMP_QUERY = SIGNATURE + ".tsq"
TIMESTAMP_REPLY = SIGNATURE + ".tsr"
CUSTODY = "custody"
CUSTODY_LOG = "custody/custody.jsonl"
CUSTODY_PARTIAL = "custody/.custody.jsonl.partial"
EVIDENCE_JSON = "metadata/evidence.json"

FILE_MODE = 0o444
CHECKPOINT_NAME = re.compile(r"checkpoint-([0-9]{6,12})")
SAFE_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){0,3}")
MANIFEST_LINE = re.compile(r"([0-9a-f]{64})  (.+)")

ALLOWED_SIGNERS = "allowed_signers"
REVOKED_KEYS = "revoked_keys"
TSA_CA = "tsa-ca.pem"


def checkpoint_name(records: int) -> str:
    """Return the file name of the checkpoint over this many records."""
    return f"checkpoint-{records:06d}"


def payload_name(number: int, suffix: str) -> str:
    """Return the generated name of a payload file, e.g. `data/E0001.tar`."""
    return f"{DATA}/E{number:04d}.{suffix}"


def format_manifest(digests: dict[str, str]) -> str:
    """Return manifest text: one `digest  path` line for each file, sorted by path bytes."""
    return "".join(f"{digests[path]}  {path}\n" for path in sorted(digests, key=str.encode))
