"""`snaphold completion SHELL`: the completion script."""

from __future__ import annotations

import argparse

from snaphold.cli.completion import SHELLS
from snaphold.cli.output import Writer
from snaphold.errors import EXIT_DONE

_WHERE = """where to put it:
  bash  source <(snaphold completion bash)                  in ~/.bashrc
  zsh   snaphold completion zsh > FOLDER/_snaphold          a folder of $fpath, before compinit
  fish  snaphold completion fish > ~/.config/fish/completions/snaphold.fish
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the shell's name."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _WHERE
    parser.add_argument("shell", metavar="SHELL", choices=sorted(SHELLS), help="bash, fish or zsh")


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Print the script. Returns 0."""
    from snaphold.cli.main import build_parser
    from snaphold.cli.words import places_of

    script = SHELLS[arguments.shell](places_of(build_parser("*")))
    writer.document({"shell": arguments.shell, "script": script}, script.rstrip("\n"))
    return EXIT_DONE
