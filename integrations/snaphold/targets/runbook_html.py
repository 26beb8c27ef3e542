"""The runbook as one page that needs nothing else, set for the printer: A4 or Letter, black on white."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from snaphold.playbook.model import Playbook
from snaphold.playbook.valuetype import write_value
from snaphold.report.markup import Html, commands, element, joined, text
from snaphold.targets.base import Stamp
from snaphold.targets.consoles import NOT_VERIFIED
from snaphold.targets.runbook_steps import Entry, Section, consoles_of

STYLE = """
* { box-sizing: border-box; }
:root { color-scheme: light; --line: #9aa3ad; --quiet: #4a5561; --band: #f1f3f6; --accent: #123f73; }
body { margin: 0 auto; max-width: 54rem; padding: 1.5rem; background: #fff; color: #111;
  font: 15px/1.45 "Liberation Sans", Arial, Helvetica, sans-serif; }
h1 { margin: 0 0 .2rem; font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 2rem 0 .6rem; padding-bottom: .2rem; border-bottom: 2px solid var(--accent); color: var(--accent);
  font-size: 1.2rem; break-after: avoid; }
p { margin: .3rem 0; }
.quiet { color: var(--quiet); }
.facts, .inputs { width: 100%; border-collapse: collapse; margin: .8rem 0; }
.facts th, .facts td, .inputs th, .inputs td { border: 1px solid var(--line); padding: .35rem .6rem; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
.facts th { width: 16rem; font-weight: 600; background: var(--band); }
.inputs td:last-child { width: 40%; }
.inputs code { white-space: nowrap; }
h1, h2, h3 { overflow-wrap: anywhere; }
.rules { margin: .6rem 0; padding-left: 1.2rem; }
.step { display: grid; grid-template-columns: 3.2rem 1fr; border: 1px solid var(--line); border-radius: .3rem;
  margin: .7rem 0; break-inside: avoid; }
.step.approve { border: 2px solid #8a1f17; }
.number { padding: .5rem .2rem; border-right: 1px solid var(--line); background: var(--band); text-align: center;
  font-size: 1.3rem; font-weight: 700; }
.body { padding: .5rem .8rem .7rem; min-width: 0; }
.step h3 { display: flex; justify-content: space-between; gap: 1rem; margin: 0 0 .3rem; font-size: 1.02rem; }
.kind { flex: none; color: var(--quiet); font-size: .8rem; font-weight: 400; text-transform: uppercase; letter-spacing: .04em; }
.approve .kind { color: #8a1f17; font-weight: 700; }
pre { margin: .4rem 0; padding: .5rem .7rem; border: 1px dashed var(--line); background: var(--band); white-space: pre-wrap;
  overflow-wrap: anywhere; }
code { font: .86em/1.4 "DejaVu Sans Mono", "Liberation Mono", monospace; }
.blanks { display: grid; grid-template-columns: 1fr 1fr; gap: .15rem 1.4rem; margin: .4rem 0; }
.blank { display: flex; align-items: flex-end; gap: .5rem; min-height: 1.9rem; }
.blank span { flex: none; max-width: 75%; font-size: .86rem; }
.blank small { color: var(--quiet); }
.blank i { flex: 1; min-width: 3rem; border-bottom: 1px solid #333; }
.ways { width: 100%; border-collapse: collapse; margin-top: .45rem; }
.ways td { border-top: 1px solid var(--line); padding: .28rem .3rem; vertical-align: top; }
.ways td:first-child { width: 46%; }
.ways td:last-child { font-weight: 600; }
.box { display: inline-block; width: .8em; height: .8em; margin-right: .5em; border: 1.5px solid #333; vertical-align: -.05em; }
footer { margin-top: 2rem; color: var(--quiet); font-size: .8rem; overflow-wrap: anywhere; }
@page { margin: 16mm 14mm 18mm; @bottom-left { content: "STAMP"; font: 8pt Arial, sans-serif; color: #4a5561; }
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt Arial, sans-serif; color: #4a5561; } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } h2.part { break-before: page; }
  a { color: inherit; text-decoration: none; } .facts th, .number, pre { print-color-adjust: exact; } }
"""
_STEP = re.compile(r"([Ss]tep )([0-9]+)")
_CODE = re.compile(r"`([^`]+)`")


def runbook_page(
    playbook: Playbook, mark: Stamp, stamps: Mapping[str, Stamp], sections: Sequence[Section], rules: Sequence[str]
) -> str:
    """Return the page as HTML."""
    metadata = playbook.metadata
    facts = [
        ("Version", f"{mark.version} (severity {metadata.severity} of 100)"),
        ("Pre-approved by change record", mark.change_record),
        ("SHA-256 of the playbook", element("code", mark.digest)),
        *((name, "") for name in ("Owner", "Incident", "Followed by", "Begun at")),
    ]
    ends = [(name, "") for name in ("Ended at", "How it ended", "Name and signature")]
    body = joined(
        [
            element("h1", f"Runbook: {mark.name}"),
            element("p", metadata.description, class_="quiet"),
            _facts(facts),
            element("p", "This version is approved for use only while it is the one that the change record names."),
            element("ul", *(element("li", _with_code(rule)) for rule in rules), class_="rules"),
            *(_section(section, stamps) for section in sections),
            _consoles(consoles_of(sections)),
            element("h2", "Signed off"),
            _facts(ends),
            element("footer", mark.text),
        ]
    )
    stamp = re.sub(r"[^A-Za-z0-9 ._-]", "", f"{mark.name} {mark.version} {mark.change_record} sha256 {mark.digest[:16]}")
    head = joined(
        [
            Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
            element("title", f"Runbook: {mark.name} {mark.version}"),
            element("style", Html(STYLE.replace("STAMP", stamp))),
        ]
    )
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


def _consoles(rows: Sequence[tuple[str, str, str]]) -> Html:
    """Return the appendix of the vendors' consoles; nothing when no action has a path there."""
    if not rows:
        return Html("")
    head = element("tr", *(element("th", name) for name in ("Action", "Product", "Where")))
    lines = [
        element("tr", element("td", element("code", action)), *(element("td", cell) for cell in rest)) for action, *rest in rows
    ]
    return joined([element("h2", "Consoles"), element("p", NOT_VERIFIED), element("table", head, *lines, class_="inputs")])


def _facts(rows: Sequence[tuple[str, str]]) -> Html:
    return element(
        "table", *(element("tr", element("th", name, scope="row"), element("td", value)) for name, value in rows), class_="facts"
    )


def _section(section: Section, stamps: Mapping[str, Stamp]) -> Html:
    metadata = section.playbook.metadata
    parts: list[Html] = []
    if section.handler:
        of = f" of {metadata.name}" if section.is_part else ""
        parts.append(element("h2", f"Handler{of}: {section.handler}"))
        parts.append(element("p", "Only when a step sends you here.", class_="quiet"))
    elif section.is_part:
        parts.append(element("h2", f"Part: {metadata.name}", class_="part"))
        parts.append(element("p", metadata.description))
        parts.append(element("p", stamps[metadata.name].text, class_="quiet"))
    else:
        parts.append(element("h2", "Steps"))
    if not section.handler and section.playbook.inputs:
        rows = [
            element(
                "tr",
                element("td", element("code", name)),
                element("td", declared.description),
                element("td", _default(declared.default)),
            )
            for name, declared in section.playbook.inputs.items()
        ]
        head = element("tr", *(element("th", name, scope="col") for name in ("Input", "What it is", "Value")))
        parts.append(element("table", head, *rows, class_="inputs"))
    return joined([*parts, *(_entry(entry) for entry in section.entries)])


def _default(value: object) -> Html:
    if value is None:
        return Html("")
    written = write_value(list(value) if isinstance(value, tuple) else value)  # type: ignore[arg-type]
    return element("small", f"else {written}" if written else "may be empty", class_="quiet")


def _entry(entry: Entry) -> Html:
    parts: list[Html] = [element("h3", entry.title, element("span", entry.kind, class_="kind"))]
    paragraphs = entry.say if entry.kind == "approve" else (" ".join(entry.say),)
    parts += [element("p", _linked(paragraph)) for paragraph in paragraphs if paragraph]
    if entry.command:
        parts.append(commands([entry.command.text]))
        parts += [element("p", note) for note in entry.command.notes]
    if entry.console:
        parts.append(element("p", element("b", "In the vendor's console: "), entry.console))
    blanks = [_blank(name, kind) for name, kind in entry.write_down]
    if blanks or entry.command:
        blanks.append(_blank("time, exit code, initials", ""))
        parts.append(element("div", *blanks, class_="blanks"))
    if entry.ways:
        box = Html('<span class="box"></span>')
        rows = [element("tr", element("td", box, way.when), element("td", _linked(way.then))) for way in entry.ways]
        parts.append(element("table", *rows, class_="ways"))
    number = element("div", str(entry.number), class_="number")
    return element(
        "div", number, element("div", *parts, class_="body"), class_=f"step {entry.kind.split()[0]}", id=f"step-{entry.number}"
    )


def _blank(name: str, kind: str) -> Html:
    hint = element("small", f" ({kind})") if kind else Html("")
    return element("div", element("span", name, hint), Html("<i></i>"), class_="blank")


def _linked(sentence: str) -> Html:
    """Return a sentence in which each step's number leads to the step."""
    return Html(_STEP.sub(r'\1<a href="#step-\2">\2</a>', text(sentence)))


def _with_code(sentence: str) -> Html:
    return Html(_CODE.sub(r"<code>\1</code>", text(sentence)))
