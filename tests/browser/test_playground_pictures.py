"""A prompt becomes a picture in the page: price, previews, history, privacy, and no markup."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.grid import Grid
from tests.support.picture_grid import MODEL

AXE = Path(__file__).resolve().parents[2] / "browser_node/node_modules/axe-core/axe.min.js"
EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest.fixture(scope="module")
def grid(picture_grid: Grid) -> Grid:
    return picture_grid


@pytest.fixture
def page(playground: Page) -> Page:
    return playground


@contextmanager
def frozen(grid: Grid) -> Iterator[None]:
    """Its node takes jobs and answers none."""
    pid = grid.nodes[0].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def draw(page: Page, prompt: str, *, steps: int = 4, public: bool = False) -> str:
    """Fill in, press, wait for the picture; the job's id."""
    page.get_by_test_id("prompt").fill(prompt)
    page.get_by_test_id("steps").fill(str(steps))
    page.get_by_test_id("public" if public else "private").check()
    page.get_by_test_id("send").click()
    expect(page.locator("#run-status")).to_have_text("Drawn")
    expect(page.get_by_test_id("stage")).to_have_attribute("data-state", "there")
    href = page.get_by_test_id("receipt-link").get_attribute("href") or ""
    return href.rsplit("/", 1)[1]


def start_drawing(page: Page) -> None:
    """Press, and wait until a node has the job and the page hears of it."""
    page.get_by_test_id("steps").fill("20")
    expect(page.get_by_test_id("price")).to_have_text("0.02 TGT")
    page.get_by_test_id("send").click()
    expect(page.locator("#run-status")).to_contain_text("Drawing on")


def watch_picture(page: Page) -> None:
    """Every address that the picture ever had is kept, as far as it tells what it is."""
    page.evaluate(
        """() => {
            window.seen = [];
            const picture = document.getElementById("picture");
            const keep = (records) => {
                for (const { oldValue } of records) window.seen.push((oldValue ?? "").slice(0, 22));
                window.seen.push(picture.src.slice(0, 22));
            };
            const options = { attributeFilter: ["src"], attributeOldValue: true };
            new MutationObserver(keep).observe(picture, options);
        }"""
    )


def loaded(page: Page, testid: str) -> bool:
    first = (
        page.get_by_test_id(testid).locator("img").or_(page.locator(f"img[data-testid={testid}]"))
    )
    width = first.first.evaluate("async (i) => { await i.decode(); return i.naturalWidth; }")
    return bool(width)


class TestDrawing:
    def test_the_price_is_there_before_one_presses(self, page: Page) -> None:
        price = page.get_by_test_id("price")
        expect(price).to_have_text("0.004 TGT")
        page.get_by_test_id("steps").fill("20")
        expect(price).to_have_text("0.02 TGT")
        page.get_by_test_id("size").select_option("64x32")
        expect(page.locator("#price-note")).to_contain_text("one node online")
        draw(page, "a red ball", steps=20)
        expect(page.locator("#answer-price")).to_have_text("0.02 TGT")

    def test_a_picture_with_who_drew_it_and_its_seed(self, page: Page) -> None:
        page.get_by_test_id("seed").fill("7")
        expect(page.get_by_test_id("new-seed")).not_to_be_checked()
        draw(page, "a red ball")
        assert loaded(page, "picture")
        expect(page.get_by_test_id("picture")).to_have_attribute("alt", "a red ball")
        expect(page.locator("#answer-made")).to_have_text(re.compile("^32 . 32, 4 steps, seed 7$"))
        expect(page.get_by_test_id("download")).to_be_visible()
        page.get_by_test_id("receipt-link").click()
        expect(page.get_by_test_id("job-state")).to_have_text("done")

    def test_another_press_is_another_seed(self, page: Page) -> None:
        draw(page, "a red ball")
        first = page.locator("#answer-made").inner_text()
        draw(page, "a red ball")
        expect(page.locator("#answer-made")).not_to_have_text(first)

    def test_a_preview_comes_while_it_is_drawn(self, page: Page, grid: Grid) -> None:
        watch_picture(page)
        with frozen(grid):  # until the page follows: the tiny model is done in no time
            start_drawing(page)
        expect(page.locator("#run-status")).to_have_text("Drawn")
        pictures = page.evaluate("window.seen")
        assert "data:image/png;base64," in pictures
        assert pictures[-1].startswith("http")

    def test_none_is_shown_early_where_the_user_said_so(self, page: Page, grid: Grid) -> None:
        watch_picture(page)
        page.get_by_test_id("show-preview").uncheck()
        with frozen(grid):
            start_drawing(page)
        expect(page.locator("#run-status")).to_have_text("Drawn")
        assert "data:image/png;base64," not in page.evaluate("window.seen")

    def test_cancel_gives_the_money_back(self, page: Page, grid: Grid) -> None:
        credit = page.get_by_test_id("credit").inner_text()
        with frozen(grid):
            page.get_by_test_id("send").click()
            expect(page.get_by_test_id("cancel")).to_be_enabled()
            page.get_by_test_id("cancel").click()
            expect(page.locator("#run-status")).to_contain_text("Nothing was charged")
        expect(page.get_by_test_id("credit")).to_have_text(credit)
        expect(page.get_by_test_id("stage")).to_have_attribute("data-state", "empty")
        draw(page, "once more")

    @pytest.mark.parametrize(
        ("prompt", "reason"),
        [("", "Say in words"), (" \n ", "Say in words"), ("a\x07b", "control character")],
    )
    def test_a_prompt_that_cannot_be_drawn_says_why(
        self, page: Page, prompt: str, reason: str
    ) -> None:
        page.get_by_test_id("prompt").fill(prompt)
        expect(page.locator("#run-status")).to_contain_text(reason)
        expect(page.get_by_test_id("send")).to_be_disabled()

    def test_numbers_out_of_range_say_so(self, page: Page) -> None:
        page.get_by_test_id("steps").fill("99")
        expect(page.locator("#run-status")).to_contain_text("Steps: ")
        expect(page.get_by_test_id("send")).to_be_disabled()

    def test_the_risk_is_said_before_it_is_taken(self, page: Page) -> None:
        expect(page.get_by_test_id("risk")).to_contain_text("can see your prompt")


class TestHistory:
    def test_pictures_are_listed_and_come_back_with_what_made_them(self, page: Page) -> None:
        draw(page, "the first", steps=3)
        draw(page, "the second", steps=5, public=True)
        page.reload()
        own = page.get_by_test_id("own-picture")
        expect(own).to_have_count(2)
        expect(own.nth(0)).to_contain_text("the second")
        own.nth(1).click()
        expect(page.get_by_test_id("prompt")).to_have_value("the first")
        expect(page.get_by_test_id("steps")).to_have_value("3")
        expect(page.get_by_test_id("stage")).to_have_attribute("data-state", "there")
        assert "/api/jobs/" in (page.get_by_test_id("picture").get_attribute("src") or "")
        page.get_by_test_id("forget-pictures").click()
        expect(own).to_have_count(0)
        page.reload()
        expect(own).to_have_count(0)

    def test_without_the_key_the_small_copy_is_left(self, page: Page) -> None:
        draw(page, "kept small")
        page.locator("#key-forget").click()
        page.get_by_test_id("own-picture").click()
        expect(page.get_by_test_id("caption")).to_contain_text("Only this small copy")
        assert (page.get_by_test_id("picture").get_attribute("src") or "").startswith("data:")

    def test_storage_that_is_not_ours_is_not_believed(
        self, watched: Callable[..., Page], grid: Grid
    ) -> None:
        page = watched()
        page.goto(f"{grid.url}/playground")
        evil = [{"job": "x", "prompt": EVIL, "size": "1x1", "seed": 1, "steps": 1, "at": 1,
                 "thumb": "javascript:alert(1)"}, None, 7]  # fmt: skip
        page.evaluate(
            "(v) => localStorage.setItem('tabgrid.playground.pictures', v)", json.dumps(evil)
        )
        page.reload()
        expect(page.get_by_test_id("own-picture")).to_have_count(0)
        expect(page.locator("#history-empty")).to_be_visible()


class TestWhatIsTypedIsText:
    def test_in_playground_explorer_and_job(self, page: Page, grid: Grid) -> None:
        job = draw(page, EVIL, public=True)
        expect(page.get_by_test_id("caption")).to_have_text(EVIL)
        expect(page.get_by_test_id("own-picture")).to_contain_text(EVIL)
        for address in ("/playground", "/explorer", f"/explorer/jobs/{job}"):
            page.goto(grid.url + address)
            expect(page.locator("main")).to_contain_text(EVIL)
            assert page.locator("main script, main img[src='x']").count() == 0
            assert page.evaluate("window.hacked") is None

    def test_snippets_quote_what_a_shell_and_python_would_run(self, page: Page) -> None:
        typed = """it's "$(rm -rf /)" \\ `x` \n${HOME}"""
        page.get_by_test_id("prompt").fill(typed)
        curl = page.get_by_test_id("snippet-curl").inner_text()
        words = shlex.split(curl.replace("\\\n", " "))
        assert json.loads(words[words.index("-d") + 1])["prompt"] == typed
        python = page.get_by_test_id("snippet-python").inner_text()
        found = re.search(r"prompt=(.*),\n", python)
        assert found
        assert ast.literal_eval(found[1]) == typed
        compile(python, "snippet", "exec")


class TestExplorer:
    def test_public_pictures_are_shown_private_ones_never(self, page: Page, grid: Grid) -> None:
        private = draw(page, "for my eyes only")
        public = draw(page, "for everybody", public=True)
        page.goto(f"{grid.url}/explorer")
        strip = page.get_by_test_id("public-pictures")
        expect(strip).to_contain_text("for everybody")
        expect(strip).not_to_contain_text("for my eyes only")
        assert loaded(page, "public-picture")
        page.goto(f"{grid.url}/explorer/jobs/{private}")
        expect(page.get_by_test_id("private-picture")).to_be_visible()
        expect(page.get_by_test_id("public-picture")).to_have_count(0)
        assert "for my eyes only" not in page.content()
        page.goto(f"{grid.url}/explorer/jobs/{public}")
        expect(page.get_by_test_id("prompt")).to_have_text("for everybody")
        assert loaded(page, "public-picture")

    def test_all_of_them_have_a_page(self, page: Page, grid: Grid) -> None:
        draw(page, "one of many", steps=1, public=True)
        page.goto(f"{grid.url}/explorer")
        page.get_by_test_id("all-pictures").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Public pictures")
        expect(page.get_by_test_id("public-picture").first).to_contain_text("one of many")
        assert loaded(page, "public-picture")
        assert violations(page) == []

    def test_what_has_the_focus_stays_and_the_news_come_when_it_leaves(
        self, page: Page, grid: Grid
    ) -> None:
        with frozen(grid):
            start_drawing(page)
            with grid.client() as client:
                job = client.get("/api/jobs?limit=1").json()["jobs"][0]["id"]
            reader = page.context.new_page()
            reader.goto(f"{grid.url}/explorer/jobs/{job}")
            expect(reader.get_by_test_id("job-state")).to_have_text("running")
            reader.get_by_test_id("price-link").focus()
        with reader.expect_response(f"**/explorer/jobs/{job}"):
            expect(page.locator("#run-status")).to_have_text("Drawn")
        expect(reader.get_by_test_id("price-link")).to_be_focused()
        reader.get_by_test_id("price-link").blur()
        expect(reader.get_by_test_id("job-state")).to_have_text("done")

    def test_a_job_that_ends_before_its_page_listens_is_shown_at_its_end(
        self, page: Page, grid: Grid
    ) -> None:
        reader = page.context.new_page()
        held: list[Route] = []
        reader.route("**/api/events", lambda route: held.append(route))
        with frozen(grid):
            start_drawing(page)
            with grid.client() as client:
                job = client.get("/api/jobs?limit=1").json()["jobs"][0]["id"]
            reader.goto(f"{grid.url}/explorer/jobs/{job}")
            expect(reader.get_by_test_id("job-state")).to_have_text("running")
        expect(page.locator("#run-status")).to_have_text("Drawn")
        while not held:
            reader.wait_for_timeout(20)
        expect(reader.get_by_test_id("job-state")).to_have_text("running")
        held[0].continue_()
        expect(reader.get_by_test_id("job-state")).to_have_text("done")

    def test_new_ones_appear_without_a_reload(
        self, watched: Callable[..., Page], grid: Grid
    ) -> None:
        page = watched()
        page.goto(f"{grid.url}/explorer")
        expect(page.locator("#live-state")).to_have_text("live")
        with grid.client(headers={"Authorization": f"Bearer {grid.make_key()}"}) as client:
            for prompt, public in ((f"live {EVIL}", True), ("hidden", False)):
                body = {"model": MODEL, "input": {"prompt": prompt, "seed": 3}, "public": public}
                client.post("/api/jobs", json=body, headers={"Prefer": "wait=30"})
        first = page.get_by_test_id("public-picture").first
        expect(first).to_contain_text(f"live {EVIL}")
        assert page.evaluate("window.hacked") is None
        expect(page.get_by_test_id("public-pictures")).not_to_contain_text("hidden")


class TestOtherModels:
    def test_each_model_has_its_side(self, page: Page) -> None:
        page.get_by_test_id("model-all-MiniLM-L6-v2").click()
        expect(page.get_by_test_id("text-a")).to_be_visible()
        page.get_by_test_id(f"model-{MODEL}").click()
        expect(page.get_by_test_id("prompt")).to_be_visible()

    def test_a_connector_without_a_side_gets_a_form_of_its_schema(
        self, page: Page, grid: Grid
    ) -> None:
        page.goto(f"{grid.url}/playground?model=minilm-labels")
        page.get_by_test_id("input-texts").fill("Fry the onions.\n\nA late goal.")
        page.get_by_test_id("input-labels").fill("sport\ncooking")
        page.get_by_test_id("send").click()
        expect(page.get_by_test_id("output")).to_contain_text("scores")
        answer = json.loads(page.get_by_test_id("output").inner_text())
        assert [row.index(max(row)) for row in answer["scores"]] == [1, 0]
        expect(page.get_by_test_id("model-card")).to_contain_text("What it can and cannot do")

    def test_what_is_missing_is_said_in_words_of_the_form(self, page: Page, grid: Grid) -> None:
        page.goto(f"{grid.url}/playground?model=minilm-labels")
        said = page.locator("#run-status")
        expect(said).to_have_text("Texts: please fill this in.")
        page.get_by_test_id("input-texts").fill("a")
        page.get_by_test_id("input-labels").fill("one\n\n")
        expect(said).to_have_text("Labels: at least 2, one per line.")
        page.get_by_test_id("input-labels").fill("\n".join(map(str, range(33))))
        expect(said).to_have_text("Labels: at most 32, and there are 33.")
        page.get_by_test_id("input-labels").fill("one\ntwo")
        expect(page.get_by_test_id("send")).to_be_enabled()
        page.goto(f"{grid.url}/playground")
        page.get_by_test_id("seed").fill("")
        expect(said).to_contain_text("Seed: ")
        expect(page.get_by_test_id("send")).to_be_disabled()

    def test_a_refusal_of_the_connector_is_said_beside_the_button(
        self, page: Page, grid: Grid
    ) -> None:
        page.goto(f"{grid.url}/playground?model=minilm-labels")
        page.get_by_test_id("input-texts").fill("a")
        page.get_by_test_id("input-labels").fill("same\nsame")
        expect(page.locator("#run-status")).to_contain_text("Two labels are the same")
        expect(page.get_by_test_id("send")).to_be_disabled()

    def test_a_model_that_is_not_there_is_not_an_error(
        self, watched: Callable[..., Page], grid: Grid
    ) -> None:
        page = watched()
        page.goto(f"{grid.url}/playground?model=<script>")
        expect(page.get_by_test_id("prompt")).to_be_visible()


class TestForEverybody:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_nothing_before_and_after(
        self, watched: Callable[..., Page], grid: Grid, scheme: str
    ) -> None:
        page = watched(color_scheme=scheme)
        for address in ("/playground", "/playground?model=minilm-labels"):
            page.goto(grid.url + address)
            assert violations(page) == []
        page.goto(f"{grid.url}/playground")
        page.get_by_test_id("create-key").click()
        job = draw(page, "for axe", public=True)
        assert violations(page) == []
        for address in ("/explorer", f"/explorer/jobs/{job}"):
            page.goto(grid.url + address)
            assert violations(page) == []

    def test_no_width_scrolls_sideways(self, page: Page, grid: Grid) -> None:
        job = draw(page, "w" * 300, public=True)
        for address in ("/playground", "/explorer", f"/explorer/jobs/{job}"):
            for width in (360, 390, 820, 1440):
                page.set_viewport_size({"width": width, "height": 800})
                page.goto(grid.url + address)
                over = page.evaluate(
                    "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                )
                assert over <= 0, f"{address} is {over} px too wide at {width}"

    def test_on_a_phone_prompt_and_picture_come_before_the_key(
        self, watched: Callable[..., Page], grid: Grid
    ) -> None:
        page = watched()
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(f"{grid.url}/playground")
        ways = ("prompt", "send", "stage", "create-key")
        tops = [page.get_by_test_id(id).bounding_box()["y"] for id in ways]  # type: ignore[index]
        assert tops == sorted(tops)
        page.get_by_role("link", name="API key").click()
        expect(page.get_by_test_id("create-key")).to_be_in_viewport()
        page.get_by_test_id("create-key").click()
        expect(page.locator(".to-key")).to_be_hidden()
        page.set_viewport_size({"width": 1440, "height": 900})
        stage, prompt = (page.get_by_test_id(id).bounding_box() for id in ("stage", "prompt"))
        assert stage
        assert prompt
        assert stage["x"] > prompt["x"] + prompt["width"], "beside each other on a desk"

    def test_nothing_moves_while_it_is_drawn(self, page: Page) -> None:
        """From the press to the picture; the key's box above may change what it says."""
        page.reload()
        expect(page.get_by_test_id("price")).to_have_text(re.compile("TGT"))
        before = places(page)
        draw(page, "stay where you are")
        assert places(page) == before

    def test_it_can_be_done_by_keyboard_alone(
        self, watched: Callable[..., Page], grid: Grid
    ) -> None:
        page = watched()
        page.goto(f"{grid.url}/playground")
        page.get_by_test_id("create-key").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("api-key")).to_be_visible()
        page.get_by_test_id("prompt").focus()
        page.keyboard.press("Control+A")
        page.keyboard.type("a ball, typed")
        expect(page.get_by_test_id("send")).to_be_enabled()
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "send":
                break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        expect(page.locator("#run-status")).to_have_text("Drawn")

    def test_without_a_script_the_page_says_how_to_go_on(
        self, watched: Callable[..., Page], grid: Grid
    ) -> None:
        page = watched(java_script_enabled=False)
        page.goto(f"{grid.url}/playground")
        assert "The form needs JavaScript" in page.content()
        expect(page.get_by_test_id("model-card").or_(page.locator("#about"))).to_be_visible()


def places(page: Page) -> Any:
    """Where picture and button are in the document, however far it is scrolled."""
    return page.evaluate(
        """() => ["stage", "send", "price"].map((id) => {
            const { top, left, width, height } =
                document.querySelector(`[data-testid=${id}]`).getBoundingClientRect();
            return [Math.round(top + scrollY), left, id === "price" ? 0 : width, height];
        })"""
    )


def violations(page: Page) -> list[Any]:
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run().then((r) => r.violations)")
    return [(v["id"], [n["html"] for n in v["nodes"]]) for v in found]


def test_a_private_picture_needs_its_signature(page: Page, grid: Grid) -> None:
    draw(page, "signed")
    source = page.get_by_test_id("picture").get_attribute("src") or ""
    with httpx.Client(base_url=grid.url) as anybody:
        assert anybody.get(source).status_code == 200
        assert anybody.get(source.split("?")[0]).status_code == 404
