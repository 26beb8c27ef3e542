"""`snaphold failover-drill`: kills workers on a throw-away database and shows that nothing is lost and nothing starts twice."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snaphold.cli.options import add_config_option, add_database_option, configuration_of
from snaphold.cli.output import Writer, details, table
from snaphold.errors import EXIT_DONE, EXIT_FAILED, InputError, MissingToolError

if TYPE_CHECKING:
    from snaphold.drill.failover import Fate, Outcome

_MOST_WORKERS, _MOST_ASSETS = 32, 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `failover-drill`."""
    add_config_option(parser)
    add_database_option(parser)
    parser.add_argument("--workers", type=int, default=3, metavar="N", help="how many workers there always are (default 3)")
    parser.add_argument("--assets", type=int, default=60, metavar="N", help="how many assets are started (default 60)")
    parser.add_argument(
        "--deaths", type=int, default=3, metavar="N", help="how many workers die; the last one stands still (default 3)"
    )
    parser.add_argument("--lease", default="5s", metavar="TIME", help="after how long a silent worker is lost (default 5s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which workers die, and when (default 1)")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="a folder that keeps the logs (else a temporary one)")


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Play the drill. Returns 0 when everything started exactly once and nothing was lost, else 1."""
    try:
        from snaphold.drill.failover import Wanted, play
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the Python package {error.name} is not installed", "the drill needs it", "pip install 'snaphold[service]'"
        ) from error
    from snaphold.cli.commands.worker import lease_of

    configuration = configuration_of(arguments)
    if not configuration.database:
        raise InputError(
            "the drill needs a PostgreSQL server",
            "this configuration keeps ledger and runs in files, and only one machine can drive them",
            "--database env:NAME; it makes a database beside that one and drops it again",
        )
    _check(arguments)
    wanted = Wanted(arguments.workers, arguments.assets, arguments.deaths, lease_of(arguments.lease), arguments.seed)
    with ExitStack() as stack:
        if arguments.dir is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="snaphold-drill-")))
        else:
            folder = arguments.dir.absolute()
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise InputError(f"{folder} is not empty", do="name an empty or a new folder")
        outcome = play(configuration.database_url(), folder, wanted, writer.note)
    writer.document(_document(outcome), _text(outcome, writer))
    return EXIT_DONE if outcome.good else EXIT_FAILED


def _check(arguments: argparse.Namespace) -> None:
    if not 2 <= arguments.workers <= _MOST_WORKERS:  # noqa: PLR2004  one has nobody to take over from
        raise InputError(f"--workers {arguments.workers} is not possible", f"from 2 to {_MOST_WORKERS}")
    if not 1 <= arguments.assets <= _MOST_ASSETS:
        raise InputError(f"--assets {arguments.assets} is not possible", f"from 1 to {_MOST_ASSETS}")
    if not 0 <= arguments.deaths <= arguments.assets:
        raise InputError(f"--deaths {arguments.deaths} is not possible", "from 0 to the number of assets")


def _document(outcome: Outcome) -> dict[str, Any]:
    times = outcome.takeovers
    return {
        "good": outcome.good, "assets": outcome.assets, "starts": outcome.starts, "doubled": outcome.doubled,
        "lost": outcome.lost, "unfinished_runs": outcome.unfinished, "audit_faults": list(outcome.faults),
        "written_after_waking": outcome.woke_and_wrote, "seconds": round(outcome.seconds, 1),
        "takeover_seconds": {"shortest": times[0], "median": times[len(times) // 2], "longest": times[-1]} if times else None,
        "workers": [_fate(fate) for fate in outcome.fates],
    }  # fmt: skip


def _fate(fate: Fate) -> dict[str, Any]:
    return {"worker": fate.id, "fate": fate.how, "runs": fate.runs, "taken_over_after": [round(one, 2) for one in fate.seconds]}


def _text(outcome: Outcome, writer: Writer) -> str:
    rows = [
        (fate.id or "-", fate.how, str(fate.runs) if fate.at else "-", ", ".join(f"{one:.1f} s" for one in fate.seconds) or "-")
        for fate in outcome.fates
    ]
    times = outcome.takeovers
    spread = f"{times[0]:.1f} to {times[-1]:.1f} s, median {times[len(times) // 2]:.1f} s" if times else "none"
    facts = [
        ("verdict", writer.mark("done" if outcome.good else "failed")),
        ("assets", f"{outcome.assets}, started {outcome.starts} times: {outcome.doubled} doubled, {outcome.lost} lost"),
        ("runs not done", str(outcome.unfinished)), ("taken over after", spread),
        ("written after waking", f"{outcome.woke_and_wrote} entries"),
        ("audit trail", "\n".join(outcome.faults) or "holds"), ("took", f"{outcome.seconds:.0f} s"),
    ]  # fmt: skip
    return table(("worker", "what became of it", "runs", "taken over after"), rows) + "\n\n" + details(facts)
