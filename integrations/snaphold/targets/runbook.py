"""The runbook: a playbook that a person can follow by hand, as Markdown and as a page for the printer."""

from __future__ import annotations

from collections.abc import Iterator

from snaphold.action import catalogue
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.model import Playbook
from snaphold.playbook.valuetype import write_value
from snaphold.targets.base import Output, Parts, Stamp, Target, stamp
from snaphold.targets.consoles import NOT_VERIFIED
from snaphold.targets.runbook_html import runbook_page
from snaphold.targets.runbook_steps import Entry, Section, consoles_of, sections_of
from snaphold.targets.runbook_text import INCIDENT_FILE

RULES = (
    f"Save the incident as `{INCIDENT_FILE}`; `snaphold config schema incident` describes it.",
    "Do the steps in the order of their numbers, unless a step sends you elsewhere.",
    "Put what you wrote down in the place of `<...>` in commands and questions, and keep the quotation marks.",
    "`echo $?` shows the exit code: 0 is done, 3 is done with findings. Any other is a failure, also when nobody knows.",
    "Never go past an approval, and never repeat a step of which you do not know what it did: ask first.",
)


def compile_runbook(loaded: LoadedPlaybook, parts: Parts) -> Output:
    """Return `NAME.md` and `NAME.html`, with all that the playbook calls inside, and what a person cannot do by hand."""
    sections = sections_of(loaded, parts, catalogue())
    mark = stamp(loaded)
    stamps = {name: stamp(part) for name, part in parts.items()}
    files = {
        f"{mark.name}.md": "\n".join(_markdown(loaded.playbook, mark, stamps, sections)) + "\n",
        f"{mark.name}.html": runbook_page(loaded.playbook, mark, stamps, sections, RULES),
    }
    return Output({name: text.encode() for name, text in files.items()}, ())


def _markdown(playbook: Playbook, mark: Stamp, stamps: dict[str, Stamp], sections: list[Section]) -> Iterator[str]:
    yield f"# Runbook: {mark.name}"
    yield ""
    if playbook.metadata.description:
        yield from (playbook.metadata.description, "")
    facts = [
        ("Version", mark.version),
        ("Pre-approved by change record", mark.change_record),
        ("SHA-256 of the playbook", f"`{mark.digest}`"),
        ("Severity", f"{playbook.metadata.severity} of 100"),
        ("Owner", BLANK),
        ("Incident", BLANK),
        ("Followed by", BLANK),
        ("Begun at", BLANK),
    ]
    yield from _table(("", ""), facts)
    yield from ("", "This version is approved for use only while it is the one that the change record names.", "")
    yield from (f"- {rule}" for rule in RULES)
    for section in sections:
        yield from ("", *_section(section, stamps))
    consoles = consoles_of(sections)
    if consoles:
        yield from ("", "## Consoles", "", NOT_VERIFIED, "")
        yield from _table(("Action", "Product", "Where"), [(f"`{action}`", *rest) for action, *rest in consoles])
    yield from (
        "",
        "## Signed off",
        "",
        *_table(("", ""), [("Ended at", BLANK), ("How it ended", BLANK), ("Name and signature", BLANK)]),
    )


BLANK = "________________"


def _section(section: Section, stamps: dict[str, Stamp]) -> Iterator[str]:
    metadata = section.playbook.metadata
    if section.handler:
        yield f"### Handler: {section.handler}" if section.is_part else f"## Handler: {section.handler}"
        yield from ("", "Only when a step sends you here.")
    elif section.is_part:
        mark = stamps[metadata.name]
        yield from (f"## Part: {metadata.name}", "", metadata.description or "Followed from other steps.", "")
        yield f"Version {mark.version}, change record {mark.change_record}, SHA-256 `{mark.digest}`."
    else:
        yield "## Steps"
    if not section.handler and section.playbook.inputs:
        yield ""
        rows = [
            (f"`{name}`", declared.description or "", f"{BLANK}" + _default(declared.default))
            for name, declared in section.playbook.inputs.items()
        ]
        yield from _table(("Input", "What it is", "Value"), rows)
    for entry in section.entries:
        yield from ("", *_entry(entry))


def _default(value: object) -> str:
    if value is None:
        return ""
    text = write_value(list(value) if isinstance(value, tuple) else value)  # type: ignore[arg-type]
    return f" (else {text})" if text else " (may be empty)"


def _entry(entry: Entry) -> Iterator[str]:
    yield f"**{entry.number}. {entry.title}** ({entry.kind})"
    for sentence in entry.say:
        yield from ("", sentence)
    if entry.command:
        yield from ("", "```sh", entry.command.text, "```")
        yield from ("", *entry.command.notes) if entry.command.notes else ()
    if entry.console:
        yield from ("", f"In the vendor's console: {entry.console}")
    if entry.write_down or entry.command:
        yield ""
        yield from (f"- [ ] {name} ({kind}): {BLANK}" for name, kind in entry.write_down)
        yield f"- [ ] time, exit code, initials: {BLANK}"
    if entry.ways:
        yield ""
        yield from (f"- {way.when}: **{way.then}**" for way in entry.ways)


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    from snaphold.targets.docs import table

    return table(headings, rows)


TARGET = Target("runbook", "a runbook to follow by hand: Markdown, and HTML for the printer", compile_runbook)
