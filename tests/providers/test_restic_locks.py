"""A repository that somebody else has locked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from snaphold.domain.outcome import Outcome
from support.backup_site import PASSWORD, Site, make_site, real_engine
from support.waiting import wait_for

pytestmark = pytest.mark.slow
LOCK_NAME_LENGTH = 64


def locks(site: Site) -> list[str]:
    """Return the names of the locks; one that is still being written has a longer name."""
    return [path.name for path in (site.repository / "locks").iterdir() if len(path.name) == LOCK_NAME_LENGTH]


def lock_and_die(site: Site) -> None:
    """Leave the exclusive lock of a restic that was killed: it had locked the repository and waits for a new password."""
    argv = [real_engine("restic"), "--no-cache", "-r", str(site.repository), "key", "passwd"]
    environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD}
    with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as waiting:
        wait_for(lambda: locks(site) or waiting.poll() is not None)
        assert waiting.poll() is None, "restic ended before it could be killed"
        waiting.send_signal(signal.SIGKILL)
    (lock,) = locks(site)
    described = subprocess.run(
        [real_engine("restic"), "--no-cache", "-r", str(site.repository), "--no-lock", "cat", "lock", lock],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    assert json.loads(described.stdout)["exclusive"] is True


def test_a_stale_lock_is_removed_by_a_plain_unlock_and_the_backup_goes_on(tmp_path: Path) -> None:
    site = make_site(tmp_path, "restic")
    lock_and_die(site)
    calls = tmp_path / "calls"
    script = tmp_path / "spy"
    script.write_text(f'#!/bin/sh\necho "$*" >> {calls}\nexec {real_engine("restic")} "$@"\n')
    script.chmod(0o755)
    status = site.back_up(site.provider(program=str(script)))
    assert status.outcome is Outcome.SUCCEEDED, status.findings
    words = calls.read_text().split()
    assert "unlock" in words
    assert locks(site) == []
    assert "--remove-all" not in words
    assert PASSWORD not in json.dumps(words)
