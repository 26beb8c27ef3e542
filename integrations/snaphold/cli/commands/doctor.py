"""`snaphold doctor`: is every integration, pool and key fit, and who answers for it."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from snaphold.cli.options import add_config_option
from snaphold.cli.output import Writer, table
from snaphold.errors import EXIT_DONE, EXIT_FINDINGS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--config`."""
    add_config_option(parser)


def run(arguments: argparse.Namespace, writer: Writer) -> int:
    """Test everything and show it. Returns 0, or 3 when something is not fit or has no owner."""
    from snaphold.clock import SystemClock
    from snaphold.config import load_configuration
    from snaphold.doctor import examine

    examined = examine(load_configuration(arguments.config), SystemClock())
    findings = [(item, text) for item in examined for text in item.findings]
    rows = [
        (
            item.part, f"{item.name} ({item.kind})", writer.mark("done" if item.fit else "failed"), item.detail or "-",
            " ".join(filter(None, (item.owner, item.contact))) or "-", item.last_success or "never", item.review_by or "-",
        )
        for item in examined
    ]  # fmt: skip
    parts = [table(("part", "name", "test", "detail", "owner", "last success", "review by"), rows)]
    if findings:
        parts.append(table(("name", "finding"), [(item.name, text) for item, text in findings]))
    parts.append(f"{len(findings)} finding{'' if len(findings) == 1 else 's'}" if findings else "no findings")
    writer.document({"examined": [{**asdict(item), "fit": item.fit} for item in examined]}, "\n\n".join(parts))
    return EXIT_FINDINGS if findings else EXIT_DONE
