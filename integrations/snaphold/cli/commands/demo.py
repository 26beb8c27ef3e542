"""`snaphold demo`: one incident from trigger to sealed evidence, on throw-away data."""

from __future__ import annotations

import argparse
import shlex
import shutil
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from snaphold.cli.output import Writer
from snaphold.errors import EXIT_DONE

if TYPE_CHECKING:
    from snaphold.demo.ending import Ending
    from snaphold.demo.engines import Engine
    from snaphold.demo.estate import Estate
    from snaphold.demo.story import Fields

_INDENT = " " * 24
_WIDEST, _NARROWEST = 120, 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `demo`."""
    parser.add_argument("--dir", type=Path, metavar="DIR", help="an empty folder that keeps everything (else a temporary one)")
    parser.add_argument("--engine", choices=("restic", "rclone"), help="the backup engine (else restic when it is installed)")


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Play the demonstration and return 0. The application that it starts always ends."""
    from snaphold.demo.engines import choose_engine
    from snaphold.demo.estate import claim_folder

    engine = choose_engine(arguments.engine)
    folder = claim_folder(arguments.dir)
    try:
        return _Telling(writer, engine).play(folder)
    except KeyboardInterrupt:
        writer.note(f"the demonstration was left; what it made so far is in {folder}, and nothing else needs it")
        raise


class _Telling:
    """Tells the story line by line: outcome, seconds, what happened."""

    def __init__(self, writer: Writer, engine: Engine) -> None:
        self.writer = writer
        self.engine = engine
        self.begun = time.monotonic()
        self.outcomes: Counter[str] = Counter()
        columns = shutil.get_terminal_size((_WIDEST, 0)).columns
        self.width = max(_NARROWEST, min(columns, _WIDEST))

    def play(self, folder: Path) -> int:
        """Play everything below an empty folder."""
        from snaphold.clock import SystemClock
        from snaphold.demo.estate import build_estate
        from snaphold.demo.writer import running_writer

        begun = time.monotonic()
        estate = build_estate(folder, self.engine, SystemClock().now())
        self.heading(f"An estate is made up in {folder}")
        self.line("done", time.monotonic() - begun, f"{estate.files} files in the share, a live SQLite application, 2 pools")
        self.detail(f"engine: {self.engine.provider} ({self.engine.why}: {self.engine.program})")
        with running_writer(estate.database):
            self.respond(estate)
            self.strike(estate)
        return self.close(estate)

    def respond(self, estate: Estate) -> None:
        """The incident arrives and the playbook runs."""
        from snaphold.demo.estate import PLAYBOOK
        from snaphold.demo.story import run_playbook

        self.heading(f"A ransomware alert arrives (incident.json): playbook {PLAYBOOK}, requested by Ana Ruiz")
        run_playbook(estate, self.step, self.approval)

    def step(self, fields: Fields) -> None:
        """Tell one step of the playbook."""
        item = f" [{fields['item']}]" if fields.get("item") else ""
        self.line(str(fields["outcome"]), float(fields["seconds"]), f"{fields['title']}{item}")
        for finding in fields.get("findings") or ():
            self.detail(" ".join(str(finding).split()))

    def approval(self, fields: Fields) -> None:
        """Tell that the demonstration itself answers the gate."""
        who = ", ".join(vote["name"] for vote in fields.get("votes") or ())
        self.line("waiting", None, str(fields["ask"]))
        self.detail(f"answered by {who}, the demonstration's second identity; Ana Ruiz may not approve her own request")

    def strike(self, estate: Estate) -> None:
        """The attacker acts, and the comparison names it."""
        from snaphold.demo.attack import attack
        from snaphold.demo.ending import find_restore_point
        from snaphold.demo.estate import SHARE_ASSET
        from snaphold.demo.story import compare_with_now

        self.heading("Now the attacker acts")
        begun = time.monotonic()
        damage = attack(estate.share)
        words = f"{damage.encrypted} files overwritten and renamed to *.locked, {damage.notes} ransom notes dropped"
        self.line("done", time.monotonic() - begun, words)
        begun = time.monotonic()
        found = compare_with_now(estate, find_restore_point(estate, SHARE_ASSET).id)
        self.line(str(found.get("outcome")), time.monotonic() - begun, "Compare the share with its restore point")
        for pattern in found.get("patterns") or ():
            self.detail(str(pattern).partition("; e.g.")[0])

    def close(self, estate: Estate) -> int:
        """Verify the evidence, write the report, and say where everything is."""
        from snaphold.demo.ending import finish
        from snaphold.demo.story import verify_evidence, verify_ledger

        begun = time.monotonic()
        ending = finish(estate, self.engine)
        report = verify_evidence(estate, ending.evidence)
        self.line(
            str(report["status"]), time.monotonic() - begun, f"Verify the evidence {ending.evidence.name} as a stranger would"
        )
        for note in report.get("notes") or ():
            self.detail(str(note))
        begun = time.monotonic()
        audit = verify_ledger(estate)
        text = f"Verify the audit trail: {audit['entries']} entries, chained, and signed up to the last"
        self.line(str(audit["status"]), time.monotonic() - begun, text)
        return self.tell_where(estate, ending)

    def tell_where(self, estate: Estate, ending: Ending) -> int:
        """Write the closing tally, where everything is, and the stock commands; return 0."""
        seconds = round(time.monotonic() - self.begun, 1)
        told = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())
        places = (
            ("evidence", ending.evidence),
            ("trust", ending.trust),
            ("report", ending.report),
            ("repository", ending.repository),
            ("ledger", ending.ledger),
            ("incident", estate.incident),
        )
        lines = [f"\n{self.writer.mark('done')} in {seconds} s: {told}", "", f"Everything is kept in {estate.folder}"]
        lines += [f"  {name:<10}  {path.relative_to(estate.folder)}" for name, path in places]
        lines += ["", "Check it with programs of any Linux system:", f"  cd {shlex.quote(str(estate.folder))}"]
        lines += [f"  {command}" for command in ending.commands]
        document = {
            "status": "done", "seconds": seconds, "tally": dict(self.outcomes), "engine": self.engine.provider,
            "dir": str(estate.folder), "commands": list(ending.commands), **{name: str(path) for name, path in places},
        }  # fmt: skip
        self.writer.event("summary", document, "\n".join(lines))
        return EXIT_DONE

    def heading(self, text: str) -> None:
        """Start a part of the story."""
        if not self.writer.as_json:
            self.writer.event("part", {}, "\n" + textwrap.fill(text, self.width, break_long_words=False, break_on_hyphens=False))

    def line(self, outcome: str, seconds: float | None, text: str) -> None:
        """Write one step: outcome, seconds, what it was. A step that only waits is not counted."""
        if seconds is not None:
            self.outcomes[outcome] += 1
        took = " " * 9 if seconds is None else f"{seconds:>7.1f} s"
        shown = f"  {self.writer.mark(outcome)}{' ' * (10 - len(outcome))} {took}  {self.wrapped(text).lstrip()}"
        self.writer.event("step", {"outcome": outcome, "seconds": seconds, "text": text}, shown)

    def detail(self, text: str) -> None:
        """Write what belongs to the step before."""
        self.writer.event("detail", {"text": text}, self.wrapped(text))

    def wrapped(self, text: str) -> str:
        """Return text in the right-hand column, as wide as the terminal allows."""
        return textwrap.fill(
            text, self.width, initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False
        )
