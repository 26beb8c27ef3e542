"""The reference page of backup engines: what each can do, as it declares it itself."""

from __future__ import annotations

from collections.abc import Sequence

from snaphold.providers.base import Description, Verb
from snaphold.targets.docs import table

_HEAD = """\
# Backup engines

Generated from what each engine declares; `make docs` writes this page again.

A backup runs as a detached job: it goes on when whoever started it dies. Each incident has a repository of its own in
its pool, always encrypted. The password comes from the reference in `snaphold.yaml`; it never stands in the arguments
of a process.

- `full`: the engine does it.
- `approximate`: it is done another way; the note says how.
- `unsupported`: it is refused; the note says why.
"""


def providers_reference(descriptions: Sequence[Description]) -> str:
    """Return the page as Markdown: one table over all engines, then the notes of each."""
    names = [description.provider for description in descriptions]
    rows = [[f"`{verb.value}`", *(item.capabilities[verb].support.value for item in descriptions)] for verb in Verb]
    lines = [_HEAD, *table(["verb", *names], rows), ""]
    for description in descriptions:
        lines += [f"## {description.provider}", "", f"Proved on: {description.proved_on}.", ""]
        lines += [
            f"- `{verb.value}`: {description.capabilities[verb].detail}."
            for verb in Verb
            if description.capabilities[verb].detail
        ]
        lines.append("")
    return "\n".join(lines)
