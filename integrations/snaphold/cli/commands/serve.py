"""`snaphold serve`: the service that SOARs and other programs talk to."""

from __future__ import annotations

import argparse
from pathlib import Path

from snaphold.cli.options import add_config_option, add_database_option
from snaphold.cli.output import Writer
from snaphold.errors import EXIT_DONE, MissingToolError
from snaphold.logs import log_to_stderr

TLS_PORT, PLAIN_PORT = 8443, 8080


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `serve`."""
    add_config_option(parser)
    add_database_option(parser)
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default 127.0.0.1)")
    parser.add_argument(
        "--port", type=_port, metavar="N", help=f"default {TLS_PORT} with TLS and {PLAIN_PORT} without; 0: the system chooses"
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM certificate with its chain; needed beyond loopback")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM key, readable by its owner only")
    parser.add_argument("--quiet", action="store_true", help="log only what went wrong, not every request")


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:  # noqa: PLR2004
        raise argparse.ArgumentTypeError("it is a number from 0 to 65535")
    return number


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Serve until SIGTERM or Ctrl-C; return 0 after an ordered end."""
    try:
        from snaphold.service.run_driver import RunDriver
        from snaphold.service.server import Listening, Place, open_service_runtime
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the Python package {error.name} is not installed", "the service needs it", "pip install 'snaphold[service]'"
        ) from error
    from snaphold.config import find_configuration

    config = find_configuration(arguments.config).resolve()
    runtime = open_service_runtime(config, arguments.database)
    log_to_stderr("snaphold", quiet=arguments.quiet, always_quiet=("uvicorn",))
    port = arguments.port if arguments.port is not None else TLS_PORT if arguments.tls_cert else PLAIN_PORT
    place = Place(arguments.host, port, arguments.tls_cert, arguments.tls_key)
    # On many machines `snaphold worker` drives the runs.
    driver = None if runtime.configuration.database else RunDriver(config, quiet=arguments.quiet)
    listening = Listening(runtime, config, place, driver=driver)
    text = f"listening on {listening.url}; {listening.url}/openapi.json describes the API"
    left = listening.serve(lambda: writer.event("listening", {"url": listening.url}, text))
    writer.event("stopped", {"actions_left": left}, "stopped" + (f"; {left} actions were still at work" if left else ""))
    if left:
        writer.note("what was still at work is looked up when it is asked for again under its key")
    return EXIT_DONE
