"""A real Chromium before a real service, after the demonstration ran."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from support.browser_site import LONGEST_WAIT_MS, Site, sign_in
from support.needs import missing, need_program
from support.small_estate import snaphold

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demonstration with its service on a free port."""
    need_program("restic")
    folder = tmp_path_factory.mktemp("browser") / "demo"
    words = [sys.executable, "-m", "snaphold"]
    done = subprocess.run([*words, "demo", "--dir", str(folder)], capture_output=True, text=True, check=False, timeout=550)
    assert done.returncode == 0, done.stdout + done.stderr
    tokens = {}
    for person, more in (("ana", []), ("bruno", ["--may-approve"])):
        said = snaphold(folder, "token", "create", "--person", person, "--as", person, *more, "--json")
        tokens[person] = json.loads(said.out)["token"]
    service = subprocess.Popen(
        [*words, "serve", "--port", "0", "--quiet", "--json"], cwd=folder, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "SNAPHOLD_CONFIG": str(folder / "snaphold.yaml")},
    )  # fmt: skip
    try:
        assert service.stdout is not None
        yield Site(folder, json.loads(service.stdout.readline())["url"], tokens)
    finally:
        service.terminate()
        service.communicate(timeout=240)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright.

    Not for the whole session: as long as Playwright works, this thread counts as one that runs an event loop, and DBOS
    refuses to work in such a one. Tests of the engine that come next in this process would fail.
    """
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("the program chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"], timeout=LONGEST_WAIT_MS
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, site: Site) -> Generator[Page]:
    """A fresh window, signed in as bruno; a fault that the browser logs fails the test."""
    context = chromium.new_context(viewport={"width": 1100, "height": 900}, base_url=site.url)
    context.set_default_timeout(LONGEST_WAIT_MS)
    window = context.new_page()
    faults: list[str] = []
    window.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    window.on("pageerror", lambda error: faults.append(str(error)))
    sign_in(window, site, "bruno")
    yield window
    context.close()
    assert faults == []
