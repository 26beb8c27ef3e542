"""Revisions of Veeam's REST API: which one a server has, and how each spells what we write."""

from __future__ import annotations

import re
from dataclasses import dataclass

from snaphold.errors import InputError, ProviderError

_BUILD = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){1,3}")
_LOWER_CASE = frozenset({"RequireSuccess", "IgnoreFailures", "CopyOnly", "Preserve", "NeverTruncate"})
"""Values that Veeam wrote with a small letter before 1.3-rev1."""


@dataclass(frozen=True)
class Revision:
    """One revision: its name in `x-api-version`, the first build that has it, and its words."""

    name: str
    build: tuple[int, ...]
    job_type: str
    platform: str
    small_letters: bool = False
    copies: bool = True
    events_name_points: bool = True
    """Whether a malware event can name a machine and a restore point by their ids, and its severity."""

    def spell(self, value: str) -> str:
        """Return a value of Veeam's lists as this revision writes it."""
        return value[:1].lower() + value[1:] if self.small_letters and value in _LOWER_CASE else value


REVISIONS = (
    Revision("1.2-rev1", (12, 3, 1, 1139), "Backup", "VMware", small_letters=True, copies=False, events_name_points=False),
    Revision("1.3-rev1", (13, 0, 1, 180), "VSphereBackup", "VSphere"),
    Revision("1.3-rev2", (13, 1, 0, 411), "VSphereBackup", "VSphere"),
)
"""Oldest first. A server of 13.0.0 is spoken to in 1.2-rev1, which it still knows."""
LOWEST = REVISIONS[0]


def revision_of(build: str) -> Revision:
    """Return the newest revision that both a server of this build and we know.

    Raises ProviderError when the server is too old, or its build cannot be read.
    """
    if not _BUILD.fullmatch(build):
        raise ProviderError(
            "the version of the Veeam server cannot be read", repr(build[:60]), "set api_version of the integration"
        )
    number = tuple(int(part) for part in build.split("."))
    known = [revision for revision in REVISIONS if revision.build <= number]
    if not known:
        oldest = ".".join(str(part) for part in LOWEST.build)
        raise ProviderError(
            f"Veeam Backup & Replication {build} is too old",
            f"its API is older than {LOWEST.name}, which came with {oldest}",
            "update the backup server",
        )
    return known[-1]


def revision_named(name: str) -> Revision:
    """Return the revision that the configuration names. Raises InputError when we do not know it."""
    for revision in REVISIONS:
        if revision.name == name:
            return revision
    known = ", ".join(revision.name for revision in REVISIONS)
    raise InputError(f"there is no API revision {name!r}", f"known: {known}", "correct api_version, or leave it out")
