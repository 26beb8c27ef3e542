"""The report as HTML: whole, self-contained, and safe against text that an attacker chose."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.domain.outcome import Outcome
from snaphold.ledger.entry import Event
from snaphold.report.entry_facts import read_entries
from snaphold.report.faults import faults_of
from snaphold.report.figures import in_bytes
from snaphold.report.markup import element, text
from snaphold.report.page import render
from support.incident_facts import HOSTILE, a_restore_point, an_entry, whole_facts

FORBIDDEN_TAGS = {"script", "img", "iframe", "object", "embed", "link", "form", "input", "base", "svg"}
VOID_TAGS = {"meta"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and whether every element is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_text_of_the_incident_stays_text() -> None:
    page = render(whole_facts(title=HOSTILE, description=HOSTILE))
    read = Reader(page)
    assert not FORBIDDEN_TAGS & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert "<script>alert('x')</script>" in read.text
    assert "\u202e" not in page
    assert "\x1b" not in page


@given(st.text(min_size=1, max_size=60).filter(str.strip))
def test_no_text_adds_an_element_or_leaves_one_open(hostile: str) -> None:
    plain = Reader(render(whole_facts(description="plain")))
    read = Reader(render(whole_facts(description=hostile)))
    assert read.tags == plain.tags
    assert read.open == []


def test_attributes_are_escaped() -> None:
    assert element("p", "x", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;">x</p>'
    assert text("a & b") == "a &amp; b"


def test_the_page_fetches_nothing_and_is_one_file() -> None:
    page = render(whole_facts())
    read = Reader(page)
    links = [value for name, value in read.attributes if name in ("href", "src", "action")]
    assert links
    assert all(value and value.startswith("#") for value in links)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src &#x27;none&#x27;" in page


def test_every_link_leads_to_a_section_and_every_table_names_its_rows_and_columns() -> None:
    read = Reader(render(whole_facts()))
    ids = {value for name, value in read.attributes if name == "id"}
    assert {str(value)[1:] for name, value in read.attributes if name == "href"} <= ids
    assert read.tags.count("caption") == read.tags.count("table")
    assert {value for name, value in read.attributes if name == "scope"} == {"col", "row"}


def test_the_same_facts_give_the_same_bytes() -> None:
    assert render(whole_facts()) == render(whole_facts())


@pytest.mark.parametrize(
    "said",
    [
        "rule personal-data: must be reported", "4h / 1h", "orders-db, files-01", "isolated-01 needs 5.8 MB", "CHG0042137",
        "restic AES-256, key 1a2b3c4d", "crash-consistent", "301 of 301 files", "custodian@example", "Bruno Keller: approved",
        "Open case", "sha256sum --strict", "0" * 63 + "2", "cd" * 32,
    ],
)  # fmt: skip
def test_the_report_says(said: str) -> None:
    page = Reader(render(whole_facts())).text
    assert said in page


def test_what_did_not_succeed_stands_before_everything_else() -> None:
    facts = replace(whole_facts(), restore_points=[a_restore_point(Outcome.PARTIAL, verified=False)])
    page = Reader(render(facts)).text
    assert page.index("What did not succeed") < page.index("Reported by")
    assert "The backup of files-01 (RP-files-01-0a1b2c3d) is partial." in page


def test_a_change_shows_what_it_is_and_whether_it_is_closed() -> None:
    page = Reader(render(whole_facts())).text
    assert "CHG0030001" in page
    assert "emergency change" in page
    still = [one.model_copy(update={"closed_at": None, "closed_by": "", "state": "open"}) for one in whole_facts().changes]
    shown = Reader(render(replace(whole_facts(), changes=still))).text
    assert shown.index("The emergency change CHG0030001 of itsm is not closed.") < shown.index("Reported by")


def test_nothing_open_is_said_only_when_nothing_is_open() -> None:
    assert faults_of(whole_facts()) == []
    assert "Nothing is open" in render(whole_facts())
    for broken in (
        replace(whole_facts(), restore_points=[]),
        replace(whole_facts(), evidence=[]),
        replace(whole_facts(), changes=[one.model_copy(update={"closed_at": None}) for one in whole_facts().changes]),
        replace(whole_facts(), entries=read_entries([an_entry(1, Event.REFUSED, "backup.start", error="no grant")])),
        replace(whole_facts(), entries=read_entries([an_entry(1, Event.OUTCOME, "backup.start", "unknown", error="lost")])),
    ):
        assert faults_of(broken)
        assert "Nothing is open" not in render(broken)


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5_825_440, "5.8 MB")])
def test_bytes_are_told_with_decimal_units(count: int, said: str) -> None:
    assert in_bytes(count) == said
