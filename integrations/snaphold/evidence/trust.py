"""The trust folder: what a verifier needs and must get apart from the packages."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from snaphold.config import Configuration
from snaphold.evidence import layout
from snaphold.evidence.signature import EVIDENCE_NAMESPACE, GRANT_NAMESPACE, LEDGER_NAMESPACE
from snaphold.vault.local import flush, storage_errors

VERIFY_SCRIPT_NAME = "verify.sh"
VERIFY_SCRIPT = r"""#!/usr/bin/env bash
# Verifies an evidence package with stock tools: sha256sum, ssh-keygen and, for a time stamp, openssl.
# Usage: verify.sh PACKAGE IDENTITY
# Exit code 0: every check passed. Anything else: at least one did not. Planted folders, changed modes and a log that was
# rolled back together with its checkpoint are beyond it; `snaphold evidence verify` sees those.
set -euo pipefail
export LC_ALL=C
package=${1:?usage: verify.sh PACKAGE IDENTITY}
identity=${2:?usage: verify.sh PACKAGE IDENTITY}
trust=$(cd "$(dirname "$0")" && pwd)
cd "$package"

revoked=()
if [ -e "$trust/revoked_keys" ]; then revoked=(-r "$trust/revoked_keys"); fi

echo "no links, nothing that is not listed"
links=$(find . ! -type f ! -type d)
if [ -n "$links" ]; then echo "FAILED: $links is not a plain file" >&2; exit 1; fi
listed=$( (cut -c67- manifest-sha256.txt tagmanifest-sha256.txt; echo tagmanifest-sha256.txt) | sort)
present=$(find . -type f ! -path './custody/*' ! -path ./tagmanifest-sha256.txt.sig \
  ! -path ./tagmanifest-sha256.txt.sig.tsq ! -path ./tagmanifest-sha256.txt.sig.tsr | cut -c3- | sort)
if [ "$listed" != "$present" ]; then
  echo "FAILED: the files are not those that the manifests list" >&2
  diff <(printf '%s\n' "$listed") <(printf '%s\n' "$present") >&2
  exit 1
fi

echo "signature of the tag manifest"
ssh-keygen -Y verify -f "$trust/allowed_signers" -I "$identity" -n evidence@snaphold "${revoked[@]}" \
  -s tagmanifest-sha256.txt.sig < tagmanifest-sha256.txt

echo "digests of metadata and manifest"
sha256sum --strict --quiet -c tagmanifest-sha256.txt
echo "digests of the payload"
sha256sum --strict --quiet -c manifest-sha256.txt

if [ -e tagmanifest-sha256.txt.sig.tsr ]; then
  echo "time stamp"
  openssl ts -verify -data tagmanifest-sha256.txt.sig -in tagmanifest-sha256.txt.sig.tsr -CAfile "$trust/tsa-ca.pem"
else
  echo "NOTE: the package is not time-stamped"
fi

echo "custody log"
newest=$(find custody -name 'checkpoint-*' ! -name '*.*' | sort | tail -n 1)
if [ -z "$newest" ]; then echo "FAILED: the custody log has no checkpoint" >&2; exit 1; fi
ssh-keygen -Y verify -f "$trust/allowed_signers" -I "$identity" -n evidence@snaphold "${revoked[@]}" \
  -s "$newest.sig" < "$newest"
bytes=$(sed -n 's/^bytes: //p' "$newest")
wanted=$(sed -n 's/^sha256: //p' "$newest")
found=$(head -c "$bytes" custody/custody.jsonl | sha256sum | cut -c1-64)
if [ "$found" != "$wanted" ]; then echo "FAILED: the custody log differs from its checkpoint" >&2; exit 1; fi
size=$(wc -c < custody/custody.jsonl)
if [ "$size" -ne "$bytes" ]; then echo "FAILED: there are records after the last checkpoint" >&2; exit 1; fi
first=$(head -n 1 custody/custody.jsonl)
sum=$(sha256sum tagmanifest-sha256.txt | cut -c1-64)
case $first in
  *"\"prev\":\"$sum\""*) ;;
  *) echo "FAILED: the custody log belongs to another package" >&2; exit 1 ;;
esac
echo "OK: everything verifies"
"""


def signer_line(identity: str, public_key: str, valid_after: datetime) -> str:
    """Return the allowed_signers line of a key that is valid from a day on."""
    namespaces = ",".join((EVIDENCE_NAMESPACE, LEDGER_NAMESPACE, GRANT_NAMESPACE))
    key = " ".join(public_key.split()[:2])
    return f'{identity} namespaces="{namespaces}",valid-after="{valid_after:%Y%m%d}Z" {key}\n'


def write_trust(configuration: Configuration, public_key: str, now: datetime) -> Path:
    """Make or complete the trust folder and return it; a key that is listed already is not added again.

    Older lines stay, because older packages are judged by them. Raises StorageError.
    """
    settings = configuration.evidence
    folder = configuration.path(settings.trust)
    with storage_errors(f"the trust folder {folder} cannot be written"):
        folder.mkdir(parents=True, exist_ok=True)
        signers = folder / layout.ALLOWED_SIGNERS
        text = signers.read_text(encoding="utf-8") if signers.exists() else ""
        if public_key.split()[1] not in text:
            _write(signers, text + signer_line(settings.identity, public_key, now), 0o644)
        _write(folder / VERIFY_SCRIPT_NAME, VERIFY_SCRIPT, 0o755)
        if settings.time_stamping:
            authority = configuration.path(settings.time_stamping.ca_file)
            target = folder / layout.TSA_CA
            if authority.exists() and authority.resolve() != target.resolve():
                _write(target, authority.read_text(encoding="utf-8"), 0o644)
    return folder


def _write(path: Path, text: str, mode: int) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.chmod(mode)
    partial.replace(path)
    flush(path.parent)
