"""The throw-away estate: valid, private where it must be, and with an application that always ends."""

from __future__ import annotations

import os
import shlex
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from snaphold.config import load_configuration
from snaphold.demo.attack import NOTE_NAME, SUFFIX, attack
from snaphold.demo.engines import Engine, typed
from snaphold.demo.estate import build_estate, claim_folder
from snaphold.demo.share import files_of, fill_share
from snaphold.demo.writer import OPENING_TOTAL, count_transfers, create_database, running_writer
from snaphold.errors import InputError
from snaphold.runtime import load_incident
from support.waiting import has_ended, wait_for

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)


def test_the_estate_has_a_valid_configuration_and_incident(tmp_path: Path) -> None:
    estate = build_estate(tmp_path, Engine("rclone", "/opt/a path/rclone", "as asked"), NOW)
    configuration = load_configuration(estate.configuration)
    incident = load_incident(estate.incident)
    assert set(incident.assets) <= {asset.id for asset in configuration.assets}
    assert [pool.program for pool in configuration.pools] == ["/opt/a path/rclone"] * 2
    assert (tmp_path / "trust" / "allowed_signers").is_file()


def test_an_engine_that_came_in_a_wheel_is_named_by_its_path_because_nobody_has_it_on_the_path() -> None:
    beside = str(Path(sys.executable).parent / "rclone")
    assert typed(Engine("rclone", beside, "restic is not installed")) == shlex.quote(beside)
    assert typed(Engine("restic", "/usr/local/bin/restic", "it is installed")) == "restic"


def test_keys_can_be_read_by_the_owner_only(tmp_path: Path) -> None:
    build_estate(tmp_path, Engine("restic", "/usr/bin/restic", "as asked"), NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()}
    assert {modes[name] for name in ("custodian", "isolated-01", "isolated-02")} == {0o600}


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        claim_folder(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        claim_folder(tmp_path / "mine.txt")


def test_the_share_is_the_same_every_time(tmp_path: Path) -> None:
    count = fill_share(tmp_path / "a")
    fill_share(tmp_path / "b")
    contents = [[path.read_bytes() for path in files_of(tmp_path / side)] for side in "ab"]
    assert contents[0] == contents[1]
    assert len(contents[0]) == count


def test_the_attacker_spares_some_folders_and_leaves_notes(tmp_path: Path) -> None:
    count = fill_share(tmp_path)
    damage = attack(tmp_path)
    after = list(files_of(tmp_path))
    assert len([path for path in after if path.suffix == SUFFIX]) == damage.encrypted
    assert len([path for path in after if path.name == NOTE_NAME]) == damage.notes
    assert 0 < damage.encrypted < count
    assert len(after) == count + damage.notes


def test_the_application_keeps_its_sum_while_it_writes_and_ends_with_the_block(tmp_path: Path) -> None:
    database = tmp_path / "orders.db"
    create_database(database)
    with running_writer(database) as writer:
        deadline = time.monotonic() + 240
        while count_transfers(database) < 20 and time.monotonic() < deadline:
            with closing(sqlite3.connect(database, timeout=240)) as connection:
                totals = connection.execute(
                    "select (select sum(balance) from account), (select sum(amount) from entry)"
                ).fetchone()
            assert totals == (OPENING_TOTAL, 0)
            time.sleep(0.01)
    assert count_transfers(database) >= 20
    assert writer.returncode == 0


def test_the_application_ends_when_the_demonstration_is_killed(tmp_path: Path) -> None:
    database = tmp_path / "orders.db"
    create_database(database)
    program = (
        "import sys, time; from pathlib import Path; from snaphold.demo.writer import running_writer\n"
        "with running_writer(Path(sys.argv[1])) as child: print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(database)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        writer = int(parent.stdout.readline())
        wait_for(lambda: count_transfers(database) > 0)
        os.kill(parent.pid, signal.SIGKILL)
    wait_for(lambda: has_ended(writer))
