"""Distances as places on a scale, and the page that shows them."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from tabgrid_server.pages import spreads
from tabgrid_server.pages.spreads import NONE, WIDTH, Scale
from tests.support.pages import CALIBRATION, MadeViews, browser_of


def test_each_power_of_ten_is_as_far_from_the_next() -> None:
    scale = Scale([1e-4, 1.0])
    places = [scale.place(10.0**power) for power in range(-4, 1)]
    assert (places[0], places[-1]) == (NONE, WIDTH)
    assert {b - a for a, b in itertools.pairwise(places)} == {(WIDTH - NONE) // 4}


def test_none_stands_left_of_the_least() -> None:
    scale = Scale([0.0, 1e-12, 1.0])
    assert scale.place(0.0) == 0
    assert scale.place(1e-12) == NONE
    assert scale.place(1e-20) == NONE, "what is smaller than the scale is not nothing"


def test_one_value_makes_a_scale_too() -> None:
    assert 0 < Scale([1.0]).place(0.5) < WIDTH


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1e-7, "10⁻⁷"), (2.14e-12, "2.1·10⁻¹²"), (0.0124, "0.012"), (4.5, "4.5")],
)
def test_figures_read_as_people_write_them(value: float, text: str) -> None:
    assert spreads.figure(value) == text


def test_a_panel_holds_every_row_inside_its_width() -> None:
    (panel,) = spreads.panels([CALIBRATION])
    assert [row.kind for row in panel.rows] == ["honest", "cheat", "cheat", "cheat"]
    assert [row.words for row in panel.rows][1:] == ["100 % of 40", "25 % of 40", "100 % of 40"]
    for row in panel.rows:
        if row.x is not None and row.width is not None:
            assert 0 <= row.x <= row.x + row.width <= WIDTH
    honest, cheat = panel.rows[:2]
    assert honest.x is not None
    assert cheat.x is not None
    assert honest.x + (honest.width or 0) < panel.threshold < cheat.x
    assert "2 of 3 ways to cheat were told apart every time" in panel.summary


def test_a_panel_without_cheats_is_drawn() -> None:
    variant = msgspec.structs.replace(CALIBRATION.variants[0], cheats=())
    bare = msgspec.structs.replace(CALIBRATION, variants=(variant,))
    assert len(spreads.panels([bare])[0].rows) == 1


async def test_the_guide_shows_the_figure_in_its_place() -> None:
    async with browser_of(MadeViews()) as browser:
        page = (await browser.get("/docs/security")).text
    assert page.count('class="spread-table"') == 1
    assert "a little &lt;off&gt;" in page
    before, after = page.split('class="spread-table"')
    assert "How wrong answers are told apart" in before
    assert "What the pages load" in after
