"""Lays data out as HTML with Jinja2: everything is escaped, and a name that is not there is a fault, not nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from snaphold import __version__
from snaphold.cli.output import printable
from snaphold.errors import SnapholdError
from snaphold.report.executive import percent
from snaphold.report.figures import in_bytes, in_seconds, in_words
from snaphold.report.markup import BAD, GOOD
from snaphold.secrets import redact
from snaphold.service.problems import RequestError, status_of, title_of

_GOING = frozenset({"running", "waiting", "open"})


def render(template: str, given: Mapping[str, Any]) -> str:
    """Return a page. The same data gives the same page."""
    return _environment().get_template(template).render({"visitor": None, "fault": "", **given})


def error_page(error: SnapholdError, back: str = "/ui") -> HTMLResponse:
    """Return the page of an error: what happened, why, and what to do."""
    status = status_of(error)
    told = {name: redact(text or "") for name, text in (("what", error.what), ("why", error.why), ("do", error.do))}
    headers = error.headers if isinstance(error, RequestError) else None
    return HTMLResponse(render("error.html", {**told, "title": title_of(status), "back": back, "path": ""}), status, headers)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("snaphold.service.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(size=in_bytes, took=in_seconds, when=_when, share=percent, mark=_mark)
    shared: dict[str, Any] = environment.globals  # its own annotation knows only what Jinja2 puts in
    shared["version"] = __version__
    return environment


def _shown(value: Any) -> Any:
    """Make control, format and bidirectional characters of text visible; markup of ours stays as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _when(moment: datetime | None) -> str:
    return in_words(moment)


def _mark(word: str) -> Markup:
    kind = "good" if word in GOOD or word == "met" else "going" if word in _GOING else "bad" if word in BAD else "warn"
    if word in ("missed", "overdue", "expired"):
        kind = "bad"
    return Markup('<span class="mark {}">{}</span>').format(kind, printable(word))
