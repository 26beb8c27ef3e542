"""Runs commands on this machine: the one place where the product starts a child process to completion."""

from __future__ import annotations

import contextlib
import os
import select
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
    on_error_line: Callable[[str], None] | None = None,
    keep_output: bool = True,
    keep_open: Sequence[int] = (),
    given: str | None = None,
) -> CompletedCommand:
    """Run `argv` without a shell, standard input closed, in a process group of its own; return what it did.

    `environment` is added to this process's own (secrets travel there, never in argv). `on_line` and `on_error_line`
    see each line of stdout and stderr as it comes. With `keep_output` false the streams that have such a watcher are
    not kept, so a program that reports for days meets no limit. `keep_open` are file descriptors that the child
    inherits. `given` is written to its standard input (a few kilobytes at most).

    Raises MissingToolError when there is no such program, TimedOutError when the deadline passed (the whole group was
    killed), StorageError when the operating system refused to start it, and SnapholdError when it printed more than
    the output limit.
    """
    started = time.monotonic()
    child = _start(argv, environment, directory, keep_open, takes_input=given is not None)
    texts: dict[str, list[str]] = {"stdout": [], "stderr": []}
    overflow = threading.Event()
    readers = [
        threading.Thread(target=_read, args=(stream, texts[name], overflow, child, watcher, keep_output or watcher is None))
        for name, stream, watcher in (("stdout", child.stdout, on_line), ("stderr", child.stderr, on_error_line))
    ]
    for reader in readers:
        reader.start()
    if given is not None:
        _give(child, given)
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
        for reader, stream in zip(readers, (child.stdout, child.stderr), strict=True):
            _wait_for_reader(reader, stream, started + timeout)
    code = child.returncode
    if code is None or overflow.is_set():
        raise SnapholdError(f"{argv[0]} printed more than {OUTPUT_LIMIT_BYTES} bytes and was killed")
    return CompletedCommand(tuple(argv), code, "".join(texts["stdout"]), "".join(texts["stderr"]), time.monotonic() - started)


def _start(
    argv: Sequence[str],
    environment: Mapping[str, str] | None,
    directory: Path | None,
    keep_open: Sequence[int],
    *,
    takes_input: bool,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            cwd=directory,
            start_new_session=True,
            pass_fds=tuple(keep_open),
        )
    except FileNotFoundError as error:
        if directory is not None and not directory.is_dir():
            raise StorageError(f"the folder {directory} does not exist") from error
        raise MissingToolError(
            f"the program {argv[0]} is not installed", "it was not found on PATH", f"install {argv[0]}, or set its path"
        ) from error
    except OSError as error:
        raise StorageError(f"{argv[0]} could not be started", error.strerror) from error


def _give(child: subprocess.Popen[bytes], given: str) -> None:
    if child.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError), child.stdin:
        # A child that ends without reading its input says why by its exit code.
        child.stdin.write(given.encode())


def _read(
    stream: IO[bytes] | None,
    texts: list[str],
    overflow: threading.Event,
    child: subprocess.Popen[bytes],
    on_line: Callable[[str], None] | None,
    keep: bool,
) -> None:
    if stream is None:
        return
    size = 0
    with stream:
        for raw in iter(lambda: stream.readline(OUTPUT_LIMIT_BYTES), b""):
            size += len(raw) if keep else 0
            if size > OUTPUT_LIMIT_BYTES:
                overflow.set()
                _kill_group(child)
                return
            line = raw.decode("utf-8", "replace")
            if keep:
                texts.append(line)
            if on_line:
                on_line(line.rstrip("\n"))


def _wait_for_reader(reader: threading.Thread, stream: IO[bytes] | None, until: float) -> None:
    """Wait until a stream was read to its end: output that is cut off on a busy machine would look complete.

    A program that the child left behind may hold the stream open: when nothing comes from it, what is there is all.
    """
    while True:
        reader.join(_KILL_GRACE_SECONDS)
        if not reader.is_alive() or time.monotonic() >= until or _is_silent(stream):
            return


def _is_silent(stream: IO[bytes] | None) -> bool:
    """Return whether somebody holds a stream open and writes nothing into it; at its end it is not silent."""
    if stream is None:
        return True
    poll = select.poll()
    try:
        poll.register(stream, select.POLLIN)
    except ValueError:  # The reader has closed it just now.
        return False
    return not poll.poll(0)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        # A process in the middle of a disk operation ends only after it: the caller hears of the deadline all the same.
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
