"""Builds HTML from text that nobody trusts: whatever is not `Html` is escaped, and invisible characters are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from snaphold.cli.output import printable


class Html(str):
    """Text that is markup already. Only this module and constants of the report make it."""

    __slots__ = ()


Content = str
"""A piece of content: `Html` goes in as it is, any other text is escaped."""

GOOD = frozenset({"succeeded", "verified", "approved", "sealed", "done", "active"})
BAD = frozenset({"failed", "denied", "refused"})


def text(value: Content) -> Html:
    """Return the content as markup; control, format and bidirectional characters become visible."""
    return value if isinstance(value, Html) else Html(escape(printable(value)))


def element(tag: str, *content: Content, **attributes: str) -> Html:
    """Return one element. Attribute names lose a trailing underscore (`class_`); values are escaped."""
    marks = "".join(f' {name.rstrip("_").replace("_", "-")}="{text(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{marks}>{''.join(text(part) for part in content)}</{tag}>")


def joined(parts: Iterable[Content]) -> Html:
    """Return pieces of content one after the other."""
    return Html("".join(text(part) for part in parts))


def mark(word: str) -> Html:
    """Return an outcome or status as a coloured word; the word itself carries the meaning."""
    kind = "good" if word in GOOD else "bad" if word in BAD else "warn"
    return element("span", word, class_=f"mark {kind}")


def table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[Content]], *, numbers: Sequence[int] = ()) -> Html:
    """Return a table whose first column names the row; columns in `numbers` are set flush right."""

    def kind(index: int) -> dict[str, str]:
        return {"class_": "number"} if index in numbers else {}

    head = joined(element("th", heading, scope="col", **kind(index)) for index, heading in enumerate(headings))
    body = joined(
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell, **kind(index)) for index, cell in enumerate(row[1:], start=1)),
        )
        for row in rows
    )
    whole = element("table", element("caption", caption), element("thead", element("tr", head)), element("tbody", body))
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def facts(pairs: Iterable[tuple[str, Content]]) -> Html:
    """Return names and values as a definition list; pairs without a value are left out."""
    return element("dl", *(joined((element("dt", name), element("dd", value))) for name, value in pairs if value), class_="facts")


def bullets(items: Iterable[Content], tag: str = "ul", **attributes: str) -> Html:
    """Return a list with one item for each piece of content."""
    return element(tag, *(element("li", item) for item in items), **attributes)


def code(value: str) -> Html:
    """Return text set as code."""
    return element("code", value)


def commands(lines: Sequence[str]) -> Html:
    """Return command lines as a block."""
    return element("pre", element("code", "\n".join(lines)), tabindex="0")


def section(anchor: str, heading: str, *content: Content) -> Html:
    """Return a section with its heading and anchor."""
    return element("section", element("h2", heading), *content, id=anchor)
