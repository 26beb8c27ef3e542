"""`snaphold playbook compile`: the check before, the files, and what people are told."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snaphold.cli.options import sentence
from snaphold.cli.output import Writer, table
from snaphold.config import Configuration
from snaphold.errors import EXIT_DONE, InputError

if TYPE_CHECKING:
    from snaphold.targets.base import Target

ALL = "all"


def add_compile(subparsers: Any) -> argparse.ArgumentParser:
    """Add `compile` and return its parser."""
    text = "make XSOAR playbooks, Shuffle workflows, CACAO or a printable runbook of playbooks and all that they call"
    more = " DIR holds exactly the result: an earlier one is replaced as a whole. Exit code 2: nothing was written."
    parser: argparse.ArgumentParser = subparsers.add_parser("compile", help=text, description=sentence(text) + more)
    parser.add_argument("playbooks", nargs="+", metavar="PLAYBOOK", help="names or files")
    parser.add_argument("--target", required=True, metavar="TARGET", help="xsoar, shuffle, cacao, runbook or all")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder to write")
    parser.add_argument("--strict", action="store_true", help="refuse when a target cannot express something")
    parser.add_argument("--sign", type=Path, metavar="FILE", help="sign CACAO with this private key (PEM; RSA or Ed25519)")
    return parser


def run_compile(arguments: argparse.Namespace, configuration: Configuration | None, writer: Writer) -> int:
    """Compile and write; return the exit code. Raises InputError and PlaybookError with everything that is in the way."""
    from snaphold.playbook.lint import load_checked
    from snaphold.targets.compile import compile_playbooks, refuse_losses
    from snaphold.targets.write import refuse_foreign, write_outputs

    chosen = _targets(arguments.target)
    if arguments.sign and "cacao" not in [target.name for target in chosen]:
        raise InputError("only CACAO can be signed", f"the target is {arguments.target}", "--target cacao")
    refuse_foreign(arguments.out)
    sets = [load_checked(name, configuration) for name in dict.fromkeys(arguments.playbooks)]
    compiled = compile_playbooks(sets, chosen)
    if arguments.strict:
        refuse_losses(compiled.losses)
    files = dict(compiled.files)
    if arguments.sign:
        from snaphold.targets.cacao_signature import sign_files

        files.update(sign_files({path: files[path] for path in files if path.startswith("cacao/")}, arguments.sign))
    write_outputs(files, arguments.out)
    document = {
        "out": str(arguments.out),
        "targets": [target.name for target in chosen],
        "files": sorted(files),
        "losses": [asdict(loss) for loss in compiled.losses],
    }
    rows = [(loss.target, loss.place, loss.construct, loss.what) for loss in compiled.losses]
    written = f"{len(files)} files in {arguments.out}"
    report = table(("target", "place", "construct", "what is lost or only approximated"), rows) if rows else "nothing is lost"
    writer.document(document, f"{report}\n\n{written}")
    return EXIT_DONE


def _targets(name: str) -> list[Target]:
    """Return the targets that are asked for. Raises InputError with the nearest name."""
    from snaphold.documents import suggest
    from snaphold.targets.base import targets

    known = targets()
    if name == ALL:
        return list(known.values())
    if name in known:
        return [known[name]]
    names = [*known, ALL]
    raise InputError(f"there is no target {name!r}", suggest(name, names) or f"there are: {', '.join(names)}", "--target TARGET")
