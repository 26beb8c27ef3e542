"""The pages in a real browser: accessible, live, usable by keyboard, and whole without JavaScript."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.browser_site import LONGEST_WAIT_MS, Site, sign_in
from support.golden import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


pytestmark = pytest.mark.slow
PAGES = {
    "incidents": "/ui", "approvals": "/ui/approvals", "restore-points": "/ui/restore-points", "evidence": "/ui/evidence",
    "integrations": "/ui/integrations", "board": "/ui/board", "incident": "/ui/incidents/INC-2026-0042",
}  # fmt: skip


def faults_of(page: Page) -> str:
    """Return what axe-core finds: empty when nothing."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page)
    return found.generate_report() if found.violations_count else ""


def pictured(page: Page, name: str, request: pytest.FixtureRequest) -> None:
    """Take the picture for the documents, when they are written again."""
    if request.config.getoption("--regenerate"):
        page.screenshot(path=str(ROOT / f"docs/images/page-{name}.png"), full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", sorted(PAGES))
def test_axe_finds_nothing(page: Page, name: str, scheme: str, request: pytest.FixtureRequest) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(PAGES[name])
    assert faults_of(page) == ""
    if scheme == "light":
        pictured(page, name, request)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_run_and_its_approval_are_accessible_too(page: Page, scheme: str, request: pytest.FixtureRequest) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto("/ui")
    page.locator("tbody a[href*='/ui/runs/']").first.click()
    page.wait_for_url("**/ui/runs/**")
    assert page.locator("svg.flow g.node.succeeded").count() > 3
    assert faults_of(page) == ""
    if scheme == "light":
        pictured(page, "run", request)
    page.locator("tbody a[href*='/ui/approvals/']").first.click()
    page.wait_for_url("**/ui/approvals/**")
    assert faults_of(page) == ""
    if scheme == "light":
        pictured(page, "approval", request)


def test_the_sign_in_page_is_accessible_and_tells_a_wrong_token(chromium: Browser, site: Site) -> None:
    page = chromium.new_context(base_url=site.url).new_page()
    page.set_default_timeout(LONGEST_WAIT_MS)
    page.goto("/ui/sign-in")
    assert faults_of(page) == ""
    page.get_by_label("API token").fill("snh_wrong")
    page.keyboard.press("Enter")
    assert "not accepted" in page.get_by_role("alert").inner_text()
    assert faults_of(page) == ""
    page.context.close()


def test_the_keyboard_reaches_everything_and_the_focus_shows(page: Page) -> None:
    page.goto("/ui")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = {
        page.evaluate("document.activeElement.textContent.trim()") for _ in range(30) if page.keyboard.press("Tab") is None
    }
    assert reached >= {"Incidents", "Approvals", "Board", "Sign out", "INC-2026-0042"}


def test_a_narrow_screen_needs_no_sideways_scrolling(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    for path in PAGES.values():
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1"), path


def test_nothing_is_fetched_from_elsewhere(page: Page, site: Site) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in PAGES.values():
        page.goto(path)
    assert asked
    assert all(url.startswith((site.url, "data:")) for url in asked)


def start_run(site: Site) -> str:
    """Start a second run of the demonstration's incident, which waits for an approval; return its id."""
    incident = json.loads((site.folder / "incident.json").read_text(encoding="utf-8"))
    other = site.folder / "second.json"
    other.write_text(json.dumps({**incident, "id": "INC-2026-0043"}), encoding="utf-8")
    words = [
        "run",
        "ransomware-response",
        "--incident",
        str(other),
        "--as",
        "ana",
        "--justification",
        "A second one",
        "--no-wait",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "snaphold", *words, "--json"],
        cwd=site.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=550,
    )
    assert done.returncode == 5, done.stdout + done.stderr
    return str(json.loads(done.stdout.splitlines()[0])["run"])


def test_an_approval_on_the_page_shows_at_once_on_the_page_of_the_run(page: Page, site: Site, chromium: Browser) -> None:
    run = start_run(site)
    page.goto(f"/ui/runs/{run}")
    banner = page.locator(".banner a[href*='/ui/approvals/']")
    assert banner.count() == 1
    without = chromium.new_context(java_script_enabled=False, base_url=site.url)
    without.set_default_timeout(LONGEST_WAIT_MS)
    plain = without.new_page()
    sign_in(plain, site, "bruno")
    plain.goto(str(banner.get_attribute("href")))
    assert "What will happen" in plain.content()
    plain.get_by_label("Reason").fill("The files on the share are encrypted.")
    plain.get_by_role("button", name="Approve").click()
    plain.get_by_text("The files on the share are encrypted.").first.wait_for()
    page.get_by_role("region", name="Approval requests of this run").get_by_text("approved").wait_for()
    without.close()


def test_the_pictures_of_the_documents_are_there() -> None:
    for name in [*PAGES, "run", "approval"]:
        assert Path(ROOT / f"docs/images/page-{name}.png").stat().st_size > 10_000, name
