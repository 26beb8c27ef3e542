"""`snaphold key create`: the custodian's signing key, and the trust folder that verifiers get."""

from __future__ import annotations

import argparse

from snaphold.cli.options import add_config_option, sentence
from snaphold.cli.output import Writer
from snaphold.errors import EXIT_DONE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `create`."""
    subparsers = parser.add_subparsers(dest="part", metavar="COMMAND", title="commands", required=True)
    text = "make the signing key that the configuration names, and the trust folder; never overwrites a key"
    create = subparsers.add_parser("create", help=text, description=sentence(text))
    add_config_option(create)


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Make key and trust folder. Raises InputError when the key exists."""
    from snaphold.clock import SystemClock
    from snaphold.config import load_configuration
    from snaphold.evidence.signature import create_key
    from snaphold.evidence.trust import write_trust
    from snaphold.secrets import secret_path

    configuration = load_configuration(arguments.config)
    path = secret_path(configuration.evidence.signing_key, configuration.base)
    public = create_key(path)
    trust = write_trust(configuration, public, SystemClock().now())
    document = {"key": str(path), "public_key": public, "identity": configuration.evidence.identity, "trust": str(trust)}
    lines = [
        f"signing key   {path} (keep it secret; back it up apart from the evidence)",
        f"identity      {configuration.evidence.identity}",
        f"public key    {public}",
        f"trust folder  {trust} (give it to verifiers, apart from the packages)",
    ]
    writer.document(document, "\n".join(lines))
    return EXIT_DONE
