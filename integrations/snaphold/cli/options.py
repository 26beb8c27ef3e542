"""The options that several commands share, described once. Each function adds one option to a command's parser.

`--json` is not among them: the entry point gives it to every command and subcommand, as `arguments.json`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snaphold.config import Configuration
    from snaphold.runtime import Runtime


def sentence(text: str) -> str:
    """Return a one-line help as the sentence that stands in a command's description; `JSON` stays `JSON`."""
    return text[:1].upper() + text[1:] + "."


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add `--config FILE`, read as `arguments.config` (a Path or None)."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration file (else $SNAPHOLD_CONFIG, ./snaphold.yaml, ~/.config/snaphold, /etc/snaphold)",
    )


def add_database_option(parser: argparse.ArgumentParser) -> None:
    """Add `--database ADDRESS`, which `configuration_of` puts in the place of the configuration's."""
    parser.add_argument(
        "--database",
        metavar="ADDRESS",
        help="PostgreSQL for ledger and runs, in the place of the configuration's: env:NAME, file:PATH or postgresql://...",
    )


def configuration_of(arguments: argparse.Namespace) -> Configuration:
    """Return the configuration that `--config` names, with the database of `--database` when it is given.

    Raises ConfigurationError or InputError.
    """
    from snaphold.config import load_configuration

    configuration = load_configuration(arguments.config)
    return configuration.with_database(arguments.database) if arguments.database else configuration


def add_actor_option(parser: argparse.ArgumentParser) -> None:
    """Add `--as PERSON`, read as `arguments.acting_as` (text or None)."""
    parser.add_argument(
        "--as",
        dest="acting_as",
        metavar="PERSON",
        help="the person that you are, when your login belongs to several people of the configuration",
    )


def add_dry_run_option(parser: argparse.ArgumentParser) -> None:
    """Add `--dry-run`, read as `arguments.dry_run` (a boolean)."""
    parser.add_argument("--dry-run", action="store_true", help="show what would be done and change nothing")


def add_incident_option(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add `--incident FILE`, read as `arguments.incident` (a Path, or None where it is not required)."""
    parser.add_argument("--incident", type=Path, metavar="FILE", required=required, help="the incident, a JSON or YAML file")


def add_justification_option(parser: argparse.ArgumentParser) -> None:
    """Add `--justification TEXT`, read as `arguments.justification` (text, empty when left out)."""
    parser.add_argument(
        "--justification", default="", metavar="TEXT", help="why this is done; recorded in the audit trail for ever"
    )


def add_runtime_options(parser: argparse.ArgumentParser) -> None:
    """Add `--config` and `--as`: what `runtime_of` reads."""
    add_config_option(parser)
    add_actor_option(parser)


def runtime_of(arguments: argparse.Namespace) -> Runtime:
    """Return the runtime (configuration, ledger, clock, actor) that `--config` and `--as` ask for.

    Raises ConfigurationError, NotAuthorisedError, MissingToolError or StorageError.
    """
    from snaphold.runtime import open_runtime

    return open_runtime(arguments.config, arguments.acting_as)
