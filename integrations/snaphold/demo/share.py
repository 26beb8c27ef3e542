"""The file share of the demonstration: a few hundred made-up files, some of them with made-up personal data."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path

FILES_BY_FOLDER = {
    "finance/invoices": 70,
    "finance/ledgers": 30,
    "hr/people": 60,
    "sales/offers": 60,
    "projects/harbour-crane": 40,
    "projects/quay ünïon": 25,
    "templates": 15,
}
PERSONAL = "hr/people"
_FIRST = ("Amara", "Ben", "Chiara", "Deniz", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kemal", "Lena")
_LAST = ("Abebe", "Brandt", "Costa", "Demir", "Eriksen", "Fischer", "Garcia", "Horvat", "Ivanova", "Jansen")
_WORDS = ("crane", "order", "quay", "invoice", "delivery", "container", "weight", "port", "berth", "tide", "customs", "storage")


def fill_share(root: Path) -> int:
    """Write the share below `root` and return the number of files. The content is the same every time."""
    chance = random.Random(20261122)  # noqa: S311 - the same files every time, nothing secret
    written = 0
    for folder, count in FILES_BY_FOLDER.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(1, count + 1):
            name, content = _person(number, chance) if folder == PERSONAL else _business(folder, number, chance)
            (root / folder / name).write_bytes(content)
            written += 1
    (root / "templates" / "empty.txt").touch()
    return written + 1


def files_of(root: Path) -> Iterator[Path]:
    """Yield the files of the share in order of path."""
    yield from sorted(path for path in root.rglob("*") if path.is_file())


def _person(number: int, chance: random.Random) -> tuple[str, bytes]:
    first, last = chance.choice(_FIRST), chance.choice(_LAST)
    record = {
        "note": "made-up person",
        "name": f"{first} {last}",
        "born": f"{chance.randint(1960, 2004)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
        "mail": f"{first}.{last}@example.org".lower(),
        "telephone": f"+44 20 7946 0{chance.randint(0, 999):03}",
        "salary_eur": chance.randint(28, 90) * 1000,
        "sick_days": chance.randint(0, 20),
    }
    return f"{number:03}-{last.lower()}.json", json.dumps(record, indent=2).encode()


def _business(folder: str, number: int, chance: random.Random) -> tuple[str, bytes]:
    if folder.startswith("finance"):
        return f"{folder.rsplit('/', 1)[1][:-1]}-{number:04}.csv", _table(chance)
    kind = "md" if folder == "templates" else "txt"
    return f"{folder.partition('/')[0].rstrip('s')} {number:03}.{kind}", _prose(chance).encode()


def _table(chance: random.Random) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["order", "article", "pieces", "cents"])
    for _ in range(chance.randint(40, 400)):
        rows.writerow([chance.randint(10**5, 10**6), chance.choice(_WORDS), chance.randint(1, 90), chance.randint(100, 10**5)])
    return text.getvalue().encode()


def _prose(chance: random.Random) -> str:
    return "\n".join(
        " ".join(chance.choice(_WORDS) for _ in range(12)).capitalize() + "." for _ in range(chance.randint(20, 900))
    )
