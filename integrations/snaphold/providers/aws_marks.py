"""Our marks on what AWS keeps: tags that say which incident, asset and key it belongs to.

The values use only letters, digits and `. _ : / @ -`: every AWS service takes those. Other characters stand as `@XX`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from snaphold.clock import format_time, parse_time
from snaphold.config import Pool
from snaphold.errors import InputError
from snaphold.providers.base import BackupOrder
from snaphold.providers.jobs import job_id

PREFIX = "snaphold:"
JOB, KEY, ASSET, INCIDENT, POOL = (PREFIX + name for name in ("job", "key", "asset", "incident", "pool"))
VOLUMES = PREFIX + "volumes"
HOLD = PREFIX + "hold:"
RETAIN_UNTIL, LOCKED_UNTIL = PREFIX + "retain-until", PREFIX + "locked-until"
SOURCE = PREFIX + "source"
INFECTED = PREFIX + "infected"
LONGEST_VALUE = 256
_PLAIN = re.compile(r"[^A-Za-z0-9._:/-]")
_ESCAPED = re.compile(r"@([0-9A-F]{2})")
_OWN_WORDS = frozenset(
    {"job", "key", "asset", "incident", "pool", "volumes", "retain-until", "locked-until", "source", "infected"}
)

Marks = Mapping[str, str]


def encode(text: str) -> str:
    """Return text as the value of a tag; `decode` returns it."""
    return _PLAIN.sub(lambda found: "".join(f"@{byte:02X}" for byte in found[0].encode()), text)


def decode(text: str) -> str:
    """Return the text that a value stands for."""
    return bytes(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), text), "latin-1", "replace").decode("utf-8", "replace")


def marks_of(order: BackupOrder, pool: Pool) -> dict[str, str]:
    """Return the tags of what a start makes. Raises InputError when the key is too long for a tag."""
    marks = {
        JOB: job_id(order.key, pool.name),
        KEY: encode(order.key),
        ASSET: encode(order.workload.asset),
        INCIDENT: encode(order.incident),
        POOL: encode(pool.name),
    }
    for name, value in order.tags.items():
        if name not in _OWN_WORDS:
            marks[PREFIX + encode(name)] = encode(value)
    long = [name for name, value in marks.items() if len(value) > LONGEST_VALUE]
    if long:
        raise InputError(f"AWS takes no tag that long: {', '.join(long)}", f"the most is {LONGEST_VALUE} characters")
    return marks


def read_mark(marks: Marks, name: str) -> str:
    """Return the text of one of our tags; empty when it is not there."""
    return decode(marks.get(name, ""))


def tag_list(marks: Marks) -> list[dict[str, str]]:
    """Return tags as EC2 and Systems Manager write them."""
    return [{"Key": name, "Value": value} for name, value in marks.items()]


def write_moment(moment: datetime) -> str:
    """Return a time as the value of a tag."""
    return format_time(moment)


def read_moment(marks: Marks, name: str) -> datetime | None:
    """Return the time in a tag; None when there is none that can be read."""
    try:
        return parse_time(marks[name]) if name in marks else None
    except ValueError:
        return None


def filters(**wanted: str) -> list[dict[str, object]]:
    """Return the filters of EC2 for tags of ours, by the word after the prefix."""
    return [{"Name": f"tag:{PREFIX}{word}", "Values": [value]} for word, value in wanted.items()]
