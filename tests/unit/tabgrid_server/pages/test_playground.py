"""Which side of the playground is shown, and that a model's card brings no markup in."""

from __future__ import annotations

import httpx
import pytest

from tabgrid_server.pages.playground import context
from tests.support.pages import CARD, DRAWING, DRAWN, OTHER, PROMPT, MadeViews, browser_of, job

CARDS = [OTHER, CARD, DRAWING]
ORIGIN = "http://grid.example"


@pytest.mark.parametrize(
    ("wanted", "chosen", "side"),
    [
        (None, "scenes", "draw"),
        ("", "scenes", "draw"),
        ("nothing", "scenes", "draw"),
        ("scenes", "scenes", "draw"),
        ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2", "compare"),
        ("labels", "labels", "generic"),
    ],
)
def test_the_address_chooses_and_what_draws_comes_first(
    wanted: str | None, chosen: str, side: str
) -> None:
    found = context(CARDS, wanted, ORIGIN)
    assert (found["chosen"].model.id, found["side"]) == (chosen, side)
    assert [choice.card.model.id for choice in found["choices"]] == [
        "scenes", "all-MiniLM-L6-v2", "labels",
    ]  # fmt: skip


def test_a_grid_without_models_says_so() -> None:
    assert context([], None, ORIGIN)["chosen"] is None


@pytest.mark.parametrize("model", ["scenes", "all-MiniLM-L6-v2", "labels"])
async def test_each_side_renders_with_its_form_and_card(model: str) -> None:
    async with browser_of(MadeViews()) as browser:
        html = (await browser.get("/playground", params={"model": model})).text
    assert 'data-testid="send"' in html
    assert 'data-testid="create-key"' in html
    assert "<b>Not markup.</b>" not in html
    form = {"scenes": "prompt", "all-MiniLM-L6-v2": "text-a", "labels": "input-labels"}
    assert f'data-testid="{form[model]}"' in html


async def test_an_address_that_is_no_model_is_not_shown_back() -> None:
    async with browser_of(MadeViews()) as browser:
        answer = await browser.get("/playground", params={"model": "<script>alert(1)</script>"})
    assert "alert(1)" not in answer.text


class TestPublicPictures:
    """What a stranger typed stands in pages as text."""

    async def page(self, path: str, *jobs: object) -> str:
        views = MadeViews(jobs=jobs)  # type: ignore[arg-type]
        async with browser_of(views) as browser:
            answer: httpx.Response = await browser.get(path)
        assert answer.status_code == 200
        return answer.text

    async def test_in_the_explorer_and_on_the_jobs_page(self) -> None:
        for path in ("/explorer", f"/explorer/jobs/{DRAWN.id}"):
            html = await self.page(path, DRAWN)
            assert f"/api/jobs/{DRAWN.id}/image.png" in html
            assert "&lt;img src=x onerror=alert(1)&gt;" in html
            assert PROMPT not in html

    async def test_a_private_one_is_nowhere(self) -> None:
        private = job(id=DRAWN.id, connector="text-to-image")
        for path in ("/explorer", f"/explorer/jobs/{DRAWN.id}"):
            html = await self.page(path, private)
            assert "image.png" not in html
            assert "onerror" not in html
