"""Charts of the executive report as SVG; the same measures give the same bytes. Every chart has its numbers beside it."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from snaphold.errors import MissingToolError
from snaphold.report.clocks import ClockName, ClockState, SlaClock, by_name
from snaphold.report.measures import StoredOn

WIDTH_INCHES, HEIGHT_INCHES = 7.2, 2.8
_STATES = {
    ClockState.MET: "#2e7d4f",
    ClockState.RUNNING: "#8a97a8",
    ClockState.OVERDUE: "#d98a00",
    ClockState.MISSED: "#b3261e",
}
_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def draw_clocks(clocks: Sequence[SlaClock]) -> str:
    """Return bars: how many clocks of each kind were met, run, are overdue, or were missed."""
    counts = {name: [clock.state for clock in some] for name, some in by_name(clocks).items()}

    def paint(axes: Any) -> None:
        names = list(ClockName)
        left = [0] * len(names)
        for state, colour in _STATES.items():
            widths = [counts[name].count(state) for name in names]
            axes.barh([name.value for name in names], widths, left=left, color=colour, label=state.value)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.invert_yaxis()
        axes.set_xlabel("clocks")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(_STATES), frameon=False)

    return _draw(paint)


def draw_growth(growth: Sequence[StoredOn]) -> str:
    """Return a line: bytes in restore points by day."""

    most = max((point.bytes for point in growth), default=0)
    size, unit = next(((size, unit) for size, unit in _UNITS if most >= size), _UNITS[-1])

    def paint(axes: Any) -> None:
        days = [date.fromisoformat(point.day) for point in growth]
        axes.plot(days, [point.bytes / size for point in growth], color="#1f4e8c", linewidth=2)
        axes.fill_between(days, [point.bytes / size for point in growth], color="#1f4e8c", alpha=0.15)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(unit)
        axes.figure.autofmt_xdate()

    return _draw(paint)


def draw_times(seconds: Sequence[float]) -> str:
    """Return a histogram: minutes from the declaration of an incident to each asset's first whole restore point."""

    def paint(axes: Any) -> None:
        axes.hist([value / 60 for value in seconds], bins=min(20, max(5, len(seconds) // 2)), color="#1f4e8c")
        axes.set_xlabel("minutes from the declaration to a whole restore point")
        axes.set_ylabel("assets")
        axes.yaxis.get_major_locator().set_params(integer=True)

    return _draw(paint)


def _draw(paint: Callable[[Any], None]) -> str:
    try:
        # Its annotations are not whole, so it is used as what it is: somebody else's drawing board.
        mpl: Any = importlib.import_module("matplotlib")
        figures: Any = importlib.import_module("matplotlib.figure")
    except ModuleNotFoundError as error:
        raise MissingToolError(
            "the Python package matplotlib is not installed", "charts need it", "pip install 'snaphold[report]', or --format csv"
        ) from error
    # Text stays text, so that it can be read aloud and searched; nothing in the file changes from run to run.
    settings = {"svg.fonttype": "none", "svg.hashsalt": "snaphold", "font.family": "sans-serif", "font.size": 9}
    with mpl.rc_context(settings):
        figure = figures.Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
        axes = figure.add_subplot()
        paint(axes)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
