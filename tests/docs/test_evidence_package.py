"""The commands of the evidence page, run on a real package, and its lists against the models."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from snaphold.evidence.custody_record import CustodyEvent, CustodyRecord
from snaphold.evidence.timestamp import TimeStamp, make_request
from snaphold.evidence.verify import Status
from support.evidence_packages import SEALED_AT, Sealed, rewrite, seal
from support.needs import need_program
from support.timestamp_authority import make_authority

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/evidence-package.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
STOCK = [
    line for block in BLOCKS for line in block.splitlines() if line.startswith(("sha256sum", "ssh-keygen", "head", "openssl"))
]

PARTS = (
    "data/E0001.img", "metadata/evidence.json", "tagmanifest-sha256.txt", "custody/custody.jsonl", "custody/checkpoint-000002",
)  # fmt: skip


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    authority = make_authority(tmp_path_factory.mktemp("authority"))

    def stamp(data: bytes) -> TimeStamp:
        request = make_request(data)
        return TimeStamp(request, authority.answer(request), SEALED_AT)

    sealed = seal(tmp_path_factory.mktemp("sealed"), stamp=stamp, tsa_ca=authority.ca)
    # The page shows the trust folder beside the package.
    shutil.copytree(sealed.trust_folder, sealed.package.parent / "trust")
    return sealed


def run(sealed: Sealed, command: str) -> int:
    return subprocess.run([need_program("bash"), "-c", command], cwd=sealed.package, capture_output=True, check=False).returncode


@pytest.mark.parametrize("command", STOCK)
def test_a_stock_command_of_the_page_accepts_a_real_package(sealed: Sealed, command: str) -> None:
    assert run(sealed, command) == 0


def test_the_stock_commands_of_the_page_see_a_change_in_every_part(sealed: Sealed) -> None:
    assert len(STOCK) == 6
    for part in PARTS:
        path = sealed.package / part
        content = path.read_bytes()
        rewrite(path, content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        assert any(run(sealed, command) != 0 for command in STOCK), part
        rewrite(path, content)
    assert all(run(sealed, command) == 0 for command in STOCK)


def test_the_page_names_every_event_field_and_status() -> None:
    named = set(re.findall(r"`([a-z_0-9]+)`", PAGE))
    assert {event.value for event in CustodyEvent} <= named
    assert set(CustodyRecord.model_fields) - {"place", "source", "method", "digests"} <= named
    assert {status.value for status in Status} <= named


def test_the_layout_of_the_page_is_the_layout_of_a_package(sealed: Sealed) -> None:
    layout = re.findall(r"```\n(EV-.*?)\ntrust/", PAGE, re.DOTALL)[0]
    shown = {line.split()[0] for line in layout.splitlines()[1:]}
    found = {path.relative_to(sealed.package).as_posix() for path in sealed.package.rglob("*") if path.is_file()}
    own = {name for name in shown if not name.startswith(("data/", "metadata/"))}
    assert own == {
        name for name in found if not name.startswith(("data/", "metadata/")) and name != "custody/checkpoint-000002.sig"
    }
