"""A service that the browser tests look at, and the way in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

LONGEST_WAIT_MS = 240_000


@dataclass(frozen=True)
class Site:
    """A service over a demonstration: its address, and a token of each person."""

    folder: Path
    url: str
    tokens: dict[str, str]


def sign_in(page: Page, site: Site, person: str) -> None:
    """Sign in with a person's token."""
    page.goto(f"{site.url}/ui")
    page.get_by_label("API token").fill(site.tokens[person])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{site.url}/ui")
