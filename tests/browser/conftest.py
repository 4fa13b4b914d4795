"""One Chromium per test file, a fresh profile per test, and problems that fail the test."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from tests.support.grid import Grid
from tests.support.picture_grid import make_grid
from tests.support.programs import missing
from tests.support.stage import Stage
from tests.support.tab import Tab, Tabs

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = runpy.run_path(str(ROOT / "playwright.config.py"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(autouse=True)
def patience() -> None:
    """However loaded the machine is, and whichever tests ran before in this process: Playwright's
    own five seconds are less than one job takes there. `Tabs` waits longer."""
    expect.set_options(timeout=CONFIG["TIMEOUT_MS"])


@pytest.fixture(scope="session")
def browser_config() -> dict[str, Any]:
    """The constants of playwright.config.py."""
    return CONFIG


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Ends with its file: Playwright's loop must not run while asyncio tests do."""
    found = next((path for path in CONFIG["EXECUTABLES"] if Path(path).exists()), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=found,
                args=list(CONFIG["ARGUMENTS"]),
                timeout=CONFIG["TIMEOUT_MS"],
            )
        except Error as error:
            missing(f"Chromium does not start ({error.message.splitlines()[0]})")
            raise
        yield browser
        browser.close()


@pytest.fixture
def new_context(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """new_context(**options) -> a fresh profile, closed with the test."""
    made: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        made.append(chromium.new_context(viewport=CONFIG["VIEWPORT"], **options))
        made[-1].set_default_timeout(CONFIG["TIMEOUT_MS"])
        return made[-1]

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Iterator[Page]:
    """A page in a fresh profile. Uncaught errors in it fail the test."""
    page = new_context().new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []


@pytest.fixture
def watched(new_context: Callable[..., BrowserContext]) -> Iterator[Callable[..., Page]]:
    """watched(**options) -> a page in which no error and no refused resource may happen."""
    wrong: list[str] = []

    def make(**options: Any) -> Page:
        page = new_context(**options).new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda m: wrong.append(m.text) if "Content Security" in m.text else None)
        return page

    yield make
    assert wrong == []


@pytest.fixture
def open_tab(
    new_context: Callable[[], BrowserContext], browser_config: dict[str, Any]
) -> Iterator[Callable[..., Tab]]:
    """open_tab(url, wallet=True, **options) -> a node page in a profile of its own."""
    tabs = Tabs(new_context, browser_config["SLOW_TIMEOUT_MS"])
    yield tabs.open
    tabs.check()


#: Without the operator's node no answer is checked, and pay would wait two minutes for a check.
NOBODY_CHECKS = """
[trust]
check_within_s = 1
release_idle_s = 1
"""


@pytest.fixture(scope="module")
def grid(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Grid]:
    """The demo's grid with the file's SETTINGS over it, and NODES native nodes: none where it
    names no number, so that whatever is answered, a tab answers."""
    settings: str = getattr(request.module, "SETTINGS", "")
    nodes: int = getattr(request.module, "NODES", 0)
    if not nodes and "[trust]" not in settings:
        settings += NOBODY_CHECKS
    running = Grid(tmp_path_factory.mktemp("grid"), settings)
    try:
        yield running.start(nodes=nodes)
    finally:
        running.stop()


@pytest.fixture(scope="module")
def picture_grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """A grid that draws in no time, and one native node that does whatever there is to do."""
    made = make_grid(tmp_path_factory.mktemp("pictures"))
    made.settings += NOBODY_CHECKS
    try:
        made.start()
        made.start_node("node", "images", "text", "labels").ready()
        yield made
    finally:
        made.stop()


@pytest.fixture
def playground(watched: Callable[..., Page], picture_grid: Grid) -> Page:
    """Its playground, with a key that has paid nothing yet."""
    page = watched()
    page.goto(f"{picture_grid.url}/playground")
    page.get_by_test_id("create-key").click()
    expect(page.get_by_test_id("credit")).to_have_text("1.00 TGT")
    expect(page.get_by_test_id("send")).to_be_enabled()
    return page


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A small server with the built pages, one model and the coordinator's side of a socket."""
    if not (ROOT / "server/tabgrid_server/static/dist/manifest.json").exists():
        missing("the pages are not built; run ./build/web")
    with Stage(ROOT / "models/library/all-MiniLM-L6-v2") as running:
        yield running
