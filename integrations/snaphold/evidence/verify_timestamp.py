"""The time-stamp part of a verification."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from snaphold.errors import EvidenceError, UnverifiedEvidenceError
from snaphold.evidence import layout
from snaphold.evidence.timestamp import verify_timestamp
from snaphold.evidence.verify import Report, Status, Trust, read_tag


def check_timestamp(package: Path, trust: Trust, report: Report) -> datetime | None:
    """Return the time that the package's time stamp proves; None, with a note or a fault, when there is none."""
    reply = read_tag(package, layout.TIMESTAMP_REPLY, report, absent=None)
    query = read_tag(package, layout.TIMESTAMP_QUERY, report, absent=None)
    if reply is None and query is None:
        report.notes.append("the package is not time-stamped")
        return None
    if reply is None or query is None:
        missing = layout.TIMESTAMP_REPLY if reply is None else layout.TIMESTAMP_QUERY
        report.add(Status.INCOMPLETE, missing, "is missing, so the time stamp cannot be judged")
        return None
    signature = read_tag(package, layout.SIGNATURE, report, absent=None)
    if signature is None:
        return None
    if trust.tsa_ca is None:
        report.add(Status.UNVERIFIABLE, layout.TIMESTAMP_REPLY, "there is no tsa-ca.pem in the trust folder")
        return None
    try:
        return verify_timestamp(signature, query, reply, trust.tsa_ca)
    except EvidenceError as error:
        report.add(Status.FAILED, layout.TIMESTAMP_REPLY, f"{error.what}: {error.why}")
    except UnverifiedEvidenceError as error:
        report.add(Status.UNVERIFIABLE, layout.TIMESTAMP_REPLY, f"{error.what}: {error.why}")
    return None
