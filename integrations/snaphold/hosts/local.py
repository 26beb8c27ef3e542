"""Runs commands on this machine: the one place where the product starts a child process to completion."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from snaphold.errors import MissingToolError, SnapholdError, StorageError, TimedOutError
from snaphold.hosts.base import DEFAULT_TIMEOUT_SECONDS, OUTPUT_LIMIT_BYTES, CompletedCommand

_KILL_GRACE_SECONDS = 5.0


def run_command(
    argv: Sequence[str],
    *,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> CompletedCommand:
    """Run `argv` without a shell, standard input closed, in a process group of its own; return what it did.

    `environment` is added to this process's own (secrets travel there, never in argv). `on_line` sees each line of
    stdout as it comes. Raises MissingToolError when there is no such program, TimedOutError when the deadline passed
    (the whole group was killed), StorageError when the operating system refused to start it, and SnapholdError when it
    printed more than the output limit.
    """
    started = time.monotonic()
    child = _start(argv, environment, directory)
    texts: dict[str, list[str]] = {"stdout": [], "stderr": []}
    overflow = threading.Event()
    readers = [
        threading.Thread(target=_read, args=(stream, texts[name], overflow, child, on_line if name == "stdout" else None))
        for name, stream in (("stdout", child.stdout), ("stderr", child.stderr))
    ]
    for reader in readers:
        reader.start()
    try:
        child.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise TimedOutError(
            f"{argv[0]} did not end within {timeout:g} s and was killed",
            "it hangs, or there is more work than the deadline allows",
            "look at what it was doing, or raise the deadline",
        ) from error
    finally:
        if child.returncode is None:
            _kill_group(child)
        for reader in readers:
            reader.join(_KILL_GRACE_SECONDS)
    code = child.returncode
    if code is None or overflow.is_set():
        raise SnapholdError(f"{argv[0]} printed more than {OUTPUT_LIMIT_BYTES} bytes and was killed")
    return CompletedCommand(tuple(argv), code, "".join(texts["stdout"]), "".join(texts["stderr"]), time.monotonic() - started)


def _start(argv: Sequence[str], environment: Mapping[str, str] | None, directory: Path | None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            cwd=directory,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if directory is not None and not directory.is_dir():
            raise StorageError(f"the folder {directory} does not exist") from error
        raise MissingToolError(
            f"the program {argv[0]} is not installed", "it was not found on PATH", f"install {argv[0]}, or set its path"
        ) from error
    except OSError as error:
        raise StorageError(f"{argv[0]} could not be started", error.strerror) from error


def _read(
    stream: IO[bytes] | None,
    texts: list[str],
    overflow: threading.Event,
    child: subprocess.Popen[bytes],
    on_line: Callable[[str], None] | None,
) -> None:
    if stream is None:
        return
    size = 0
    with stream:
        for raw in iter(lambda: stream.readline(OUTPUT_LIMIT_BYTES), b""):
            size += len(raw)
            if size > OUTPUT_LIMIT_BYTES:
                overflow.set()
                _kill_group(child)
                return
            line = raw.decode("utf-8", "replace")
            texts.append(line)
            if on_line:
                on_line(line.rstrip("\n"))


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    child.wait(_KILL_GRACE_SECONDS)


class LocalHost:
    """This machine as a host."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> CompletedCommand:
        """See `run_command`."""
        return run_command(argv, timeout=timeout, environment=environment, directory=directory, on_line=on_line)
