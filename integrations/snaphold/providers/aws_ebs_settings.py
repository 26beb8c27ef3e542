"""The settings of a pool of EBS snapshots, read before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from snaphold.clock import parse_duration
from snaphold.config import Pool
from snaphold.errors import InputError
from snaphold.providers.aws_ebs_locks import COMPLIANCE, GOVERNANCE
from snaphold.providers.aws_session import check_settings

_KNOWN = frozenset({"consistency", "vss_document", "lock_mode", "hold_lasts", "copy_to", "copy_kms_key", "publish_to"})
_LONGEST_HOLD = "3650d"


@dataclass(frozen=True)
class EbsSettings:
    """How snapshots are made and locked."""

    vss: bool
    lock_mode: str
    hold_lasts: timedelta

    @classmethod
    def of(cls, pool: Pool) -> EbsSettings:
        """Return the settings of a pool. Raises InputError naming the one that is unknown or wrong."""
        check_settings(pool.settings, _KNOWN, pool.name)
        vss = _one_of(pool, "consistency", ("crash", "vss")) == "vss"
        return cls(vss, _one_of(pool, "lock_mode", (GOVERNANCE, COMPLIANCE)), _length(pool))


def _one_of(pool: Pool, name: str, allowed: tuple[str, ...]) -> str:
    value = pool.settings.get(name, allowed[0])
    if value not in allowed:
        raise InputError(f"{name} of the pool {pool.name} is {value!r}", f"allowed: {', '.join(allowed)}", "correct settings")
    return value


def _length(pool: Pool) -> timedelta:
    text = pool.settings.get("hold_lasts", _LONGEST_HOLD)
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(f"hold_lasts of the pool {pool.name} is wrong", str(error), "write e.g. 3650d") from error
