"""Documents: every command that they show is accepted by the real parser, and every link leads somewhere."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from snaphold.cli.main import build_parser
from snaphold.cli.parsers import parse, subcommands_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def commands_of(text: str) -> list[list[str]]:
    found: list[list[str]] = []
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            for start in [index for index, word in enumerate(words) if word == "snaphold"]:
                if start == 0 or words[start - 1] in ("|", "&&", ";"):
                    end = next((i for i in range(start, len(words)) if words[i] in ("|", ">", ">>", "&&", ";")), len(words))
                    found.append(words[start + 1 : end])
    return found


def anchor_of(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_shown_command_is_accepted(page: Path) -> None:
    parser = build_parser("*")
    for words in commands_of(page.read_text(encoding="utf-8")):
        try:
            parse(parser, words)
        except SystemExit as done:
            assert done.code == 0, words  # noqa: PT017  --help and --version leave this way


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in _LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            headings = [anchor_of(heading) for heading in _HEADING.findall(target.read_text(encoding="utf-8"))]
            assert anchor in headings, link


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_command_in_running_text_exists(page: Path) -> None:
    for words in re.findall(r"`snaphold ([^`]+)`", page.read_text(encoding="utf-8")):
        parser: argparse.ArgumentParser = build_parser("*")
        for word in words.split():
            known = subcommands_of(parser)
            if not known or word.startswith("-") or not word.islower():
                break
            assert word in known, f"snaphold {words}"
            parser = known[word]


def test_commands_are_found_in_blocks() -> None:
    text = "```sh\nmake x\nsnaphold run a \\\n  --json | jq .  # why\n$ snaphold config sample > snaphold.yaml\n```\n"
    assert commands_of(text) == [["run", "a", "--json"], ["config", "sample"]]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_shown_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"`make ([a-z][a-z-]*)", text)
    for block in _BLOCK.findall(text):
        shown += re.findall(r"^(?:\$ )?make ([a-z][a-z-]*)", block, re.MULTILINE)
    assert [name for name in shown if name not in targets] == []
