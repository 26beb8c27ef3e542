"""Calls restic. The password travels in the child's environment, never in argv; a stale lock is only ever `unlock`ed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from snaphold.errors import SnapholdError
from snaphold.hosts.base import CompletedCommand
from snaphold.hosts.local import run_command
from snaphold.providers.place import RepositoryPlace
from snaphold.providers.restic_output import LOCKED, cause_of, explain, read_version

LOCK_WAIT_SECONDS = 60.0
LOCK_RETRY_SECONDS = 2.0
CALL_TIMEOUT_SECONDS = 300.0
_VERSION_TIMEOUT_SECONDS = 120.0


class ResticCommand:
    """restic on one repository."""

    def __init__(self, program: str, place: RepositoryPlace) -> None:
        self.program = program
        self.place = place
        self.version = _version_of(program)

    def environment(self) -> dict[str, str]:
        """Return the password's way into restic; what the caller's environment says about restic does not count."""
        cleared = {
            "RESTIC_PASSWORD": "",
            "RESTIC_PASSWORD_FILE": "",
            "RESTIC_PASSWORD_COMMAND": "",
            "RESTIC_REPOSITORY": "",
            "RESTIC_REPOSITORY_FILE": "",
            "RESTIC_KEY_HINT": "",
            # One status line a second: nobody looks more often.
            "RESTIC_PROGRESS_FPS": "1",
        }
        return {**cleared, "RESTIC_PASSWORD": self.place.password()}

    def call(
        self,
        *arguments: str,
        timeout: float = CALL_TIMEOUT_SECONDS,
        on_line: Callable[[str], None] | None = None,
        keep_open: Sequence[int] = (),
    ) -> CompletedCommand:
        """Run restic and return what it did, whatever its exit code. With `on_line`, stdout is not kept."""
        argv = [self.program, "--no-cache", "--json", "-r", str(self.place.repository), *arguments]
        return run_command(
            argv,
            timeout=timeout,
            environment=self.environment(),
            on_line=on_line,
            keep_output=on_line is None,
            keep_open=keep_open,
        )

    def ask(self, doing: str, *arguments: str, timeout: float = CALL_TIMEOUT_SECONDS) -> str:
        """Run restic and return its stdout. Raises InputError, StorageError or ProviderError when it fails."""
        done = self.call(*arguments, timeout=timeout)
        if done.code != 0:
            raise self.error(doing, done)
        return done.stdout

    def change(
        self,
        doing: str,
        *arguments: str,
        good: Sequence[int] = (0,),
        timeout: float = CALL_TIMEOUT_SECONDS,
        on_line: Callable[[str], None] | None = None,
        keep_open: Sequence[int] = (),
        wait: float = LOCK_WAIT_SECONDS,
    ) -> CompletedCommand:
        """Run a command that locks the repository; return what it did.

        While the repository is locked, stale locks are removed (plain `unlock`: it leaves living ones) and the call is
        repeated for up to `wait` seconds. Raises InputError, StorageError or ProviderError when it fails.
        """
        deadline = time.monotonic() + wait
        while True:
            done = self.call(*arguments, timeout=timeout, on_line=on_line, keep_open=keep_open)
            if done.code in good:
                return done
            if cause_of(self.version, done) != LOCKED or time.monotonic() > deadline:
                raise self.error(doing, done)
            self.call("unlock")
            time.sleep(LOCK_RETRY_SECONDS)

    def is_about_access(self, done: CompletedCommand) -> bool:
        """Return whether a call failed before it saw any data: no repository, locked, wrong password."""
        return cause_of(self.version, done) is not None

    def error(self, doing: str, done: CompletedCommand) -> SnapholdError:
        """Return the error for a call that failed."""
        return explain(doing, self.version, done, str(self.place.repository))


@lru_cache(maxsize=16)
def _version_of(program: str) -> str:
    return read_version(run_command([program, "version"], timeout=_VERSION_TIMEOUT_SECONDS).stdout)
