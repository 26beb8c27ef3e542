"""A report on thousands of assets shows the first thousand rows of each list, says how many more there are, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from snaphold.ledger.entry import Entry, Event
from snaphold.report.entry_facts import read_entries
from snaphold.report.excerpt import MOST_SHOWN, named, rest
from snaphold.report.page import render
from support.incident_facts import a_restore_point, an_entry, whole_facts

MANY = MOST_SHOWN + 7


def entries(count: int) -> Iterator[Entry]:
    for number in range(1, count + 1):
        yield an_entry(number, Event.OUTCOME, "backup.start", "succeeded")


def test_entries_are_read_once_and_only_the_first_are_kept() -> None:
    found = read_entries(entries(MANY))
    assert (found.count, len(found.shown), found.faults) == (MANY, MOST_SHOWN, ())
    assert found.newest is not None
    assert found.newest.sequence == MANY


def test_of_outcomes_under_one_key_only_the_last_counts() -> None:
    failed = an_entry(1, Event.OUTCOME, "backup.start", "failed", error="no room").model_copy(update={"key": "k"})
    later = an_entry(2, Event.OUTCOME, "backup.start", "succeeded").model_copy(update={"key": "k"})
    assert read_entries([failed]).faults == ("backup.start ended failed: no room",)
    assert read_entries([failed, later]).faults == ()


def test_a_list_of_thousands_is_cut_and_says_so() -> None:
    points = [a_restore_point().model_copy(update={"id": f"RP-{number:05}"}) for number in range(MANY)]
    page = render(replace(whole_facts(), restore_points=points, entries=read_entries(entries(MANY))))
    assert page.count(f"The first {MOST_SHOWN} of {MANY} are shown, 7 are not") == 2
    assert "RP-00999" in page
    assert "RP-01000" not in page
    assert "snaphold audit list --incident INC-1" in page


def test_a_short_list_is_whole() -> None:
    assert rest(MOST_SHOWN, "elsewhere") == []
    assert "are not:" not in render(whole_facts())
    assert named(["a", "b"]) == "a, b"
    assert named([str(number) for number in range(102)]).endswith("98, 99 and 2 more")
