"""The executive report as a page, a table and JSON."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime, timedelta, timezone

import pytest

from snaphold.errors import MissingToolError
from snaphold.report import charts
from snaphold.report.executive import as_csv, as_document, as_page
from snaphold.report.measures import NOTHING, Measures, measure
from support.incident_context import make_configuration
from support.measured_trail import DECLARED, MadeTrail

SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=timezone.utc), datetime(2026, 12, 1, tzinfo=timezone.utc)
HOSTILE = "<script>alert(1)</script>"


def some_measures() -> Measures:
    trail = MadeTrail()
    trail.declare("INC-1", "shop", "files-01")
    trail.finish(trail.start("INC-1", "shop", timedelta(minutes=1)), timedelta(hours=2), size=3_000_000)
    trail.finish(trail.start("INC-1", "files-01", timedelta(minutes=2)), timedelta(minutes=10), size=5_000_000)
    return measure(make_configuration(), trail, SINCE, UNTIL, DECLARED + timedelta(hours=3))


def test_the_table_gives_each_measure_with_its_unit() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(some_measures()))))
    found = {(row["measure"], row["tier"]): (row["value"], row["unit"]) for row in rows}
    assert found["mean time to backup", ""] == ("3900.0", "seconds")
    assert found["SLA met: protect", "T0"] == ("0.0", "share")
    assert found["SLA met: protect", "T2"] == ("1.0", "share")
    assert found["stored", ""] == ("8000000", "bytes")


def test_the_document_holds_what_follows_from_the_measures() -> None:
    document = as_document(some_measures())
    assert (document["success_rate"], document["sla_met"], document["mean_time_to_backup_seconds"]) == (1.0, 0.75, 3900.0)
    assert document["sla_met_by_tier"] == {"T0": 0.5, "T2": 1.0}


def test_the_page_fetches_nothing_and_shows_figures_charts_and_late_clocks() -> None:
    page = as_page(some_measures(), HOSTILE)
    assert HOSTILE not in page
    assert not re.search(r'(src|href)="(?!data:image/svg|#)', page)
    assert page.count("<img ") == page.count(' alt="How') + page.count(' alt="Bytes') == 3
    assert "Late clocks" in page
    assert "2 h 00 min" in page


def test_the_same_measures_give_the_same_bytes() -> None:
    assert as_page(some_measures(), "Example Ltd") == as_page(some_measures(), "Example Ltd")


def test_a_period_without_anything_is_a_whole_page() -> None:
    page = as_page(measure(make_configuration(), NOTHING, SINCE, UNTIL, DECLARED), "Example Ltd")
    assert "No asset was backed up in this period." in page
    assert "No clock is late." in page


def test_without_matplotlib_the_reader_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_there(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(charts.importlib, "import_module", none_there)
    with pytest.raises(MissingToolError) as caught:
        as_page(some_measures(), "Example Ltd")
    assert "--format csv" in (caught.value.do or "")
