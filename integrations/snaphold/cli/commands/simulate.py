"""`snaphold simulate NAME`: a vendor system to practise on, with faults when they are asked for."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from snaphold.cli.output import Writer, details, table
from snaphold.clock import parse_duration
from snaphold.errors import EXIT_DONE, InputError, StorageError

if TYPE_CHECKING:
    from snaphold.simulators.server import SimulatorServer

_LOOK_SECONDS = 0.5
_HIDDEN_HEADERS = ("authorization", "authtoken", "cookie", "x-api-key")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name and the options."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="the system; left out: list systems and faults")
    parser.add_argument("--port", metavar="PORT", type=int, default=0, help="the port on 127.0.0.1 (default: any free one)")
    parser.add_argument(
        "--fault", metavar="FAULT", action="append", default=[],
        help="KIND[:TIMES|:always][@METHOD[/PATH]], e.g. throttled:3@POST; may be repeated",
    )  # fmt: skip
    parser.add_argument("--folder", metavar="DIR", type=Path, help="where its certificate is put (default: a folder of its own)")
    parser.add_argument("--record", metavar="FILE", type=Path, help="write every call and answer there at the end, as JSON lines")
    parser.add_argument("--for", metavar="DURATION", dest="duration", help="end by itself after this time, e.g. 30m")


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Serve until it is interrupted or the time is over; without a name, list what there is. Returns 0."""
    from snaphold.simulators.faults import KINDS, parse_fault
    from snaphold.simulators.registry import find_simulator, simulators

    if arguments.name is None:
        known = {name: simulator.summary for name, simulator in simulators().items()}
        own = {f"{name}: {fault}": text for name, kind in simulators().items() for fault, text in kind.own_faults.items()}
        writer.document(
            {"simulators": known, "faults": {**KINDS, **own}},
            table(("simulator", "what it is"), list(known.items()))
            + "\n\n"
            + table(("fault", "what happens"), [*KINDS.items(), *own.items()]),
        )
        return EXIT_DONE
    simulator = find_simulator(arguments.name)
    faults = [parse_fault(text, list(simulator.own_faults)) for text in arguments.fault]
    length = _length(arguments.duration)
    with tempfile.TemporaryDirectory(prefix="snaphold-simulate-") as scratch:
        from snaphold.simulators.server import SimulatorServer

        try:
            made = simulator()
            holds = made.furnish()
            server = SimulatorServer(made, arguments.folder or Path(scratch), port=arguments.port)
        except (OSError, OverflowError) as error:
            raise InputError("the simulator cannot start", str(error), "choose another port or folder") from error
        for fault in faults:
            server.faults.switch_on(fault)
        with server, contextlib.suppress(KeyboardInterrupt):  # the usual way to end it, also just after the announcement
            _announce(arguments.name, server, holds, writer)
            _wait(length)
        if arguments.record is not None:
            _write_record(server, arguments.record)
    return EXIT_DONE


def _length(text: str | None) -> timedelta | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise InputError("--for is not a duration", str(error)) from error


def _announce(name: str, server: SimulatorServer, holds: str, writer: Writer) -> None:
    credentials = dict(server.simulator.credentials())
    told = {"simulator": name, "url": server.url, "ca_file": str(server.ca_file)}
    told.update({"holds": holds} if holds else {})
    shown = [*told.items(), *((f"credential {key}", value) for key, value in credentials.items())]
    writer.event("ready", {**told, "credentials": credentials}, details(shown) + "\n\nInterrupt (Ctrl-C) ends it.")


def _wait(length: timedelta | None) -> None:
    end = time.monotonic() + length.total_seconds() if length is not None else None
    while end is None or time.monotonic() < end:
        time.sleep(_LOOK_SECONDS if end is None else max(0.0, min(_LOOK_SECONDS, end - time.monotonic())))


def _write_record(server: SimulatorServer, path: Path) -> None:
    """Write the exchanges beside `path`, then rename. Headers that prove who somebody is are left out."""
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("w", encoding="utf-8") as file:
            for exchange in server.exchanges:
                call, reply = exchange.call, exchange.reply
                line = {
                    "method": call.method,
                    "path": call.path,
                    "query": dict(call.query),
                    "headers": {name: value for name, value in call.headers.items() if name not in _HIDDEN_HEADERS},
                    "body": call.body.decode("utf-8", "backslashreplace"),
                    "fault": exchange.fault,
                    "status": reply.status if reply else None,
                    "answer": reply.content().decode("utf-8", "backslashreplace") if reply else None,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise StorageError(f"the record {path} cannot be written", error.strerror, "check the folder") from error
