from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from tabgrid_models.connectors import CONNECTORS, classify, embeddings, text_to_image
from tabgrid_server.library import open_library
from tabgrid_server.pages import guides, routes

GUIDES = guides.load()
HOW = GUIDES["how-it-works"].html


@pytest.mark.parametrize("slug", guides.ORDER)
def test_every_guide_has_a_title_a_summary_and_parts(slug: str) -> None:
    guide = GUIDES[slug]
    assert guide.title
    assert guide.summary.endswith(".")
    assert len(guide.headings) >= 3
    assert len({heading.id for heading in guide.headings}) == len(guide.headings)


def test_no_guide_is_left_out_of_the_menu() -> None:
    assert sorted(path.stem for path in guides.FOLDER.glob("*.md")) == sorted(guides.ORDER)


@pytest.mark.parametrize("slug", guides.ORDER)
def test_links_inside_lead_somewhere(slug: str) -> None:
    pages = {route.path for route in routes()} | {"/openapi.json"}
    for link in re.findall(r'href="(/[^"]*)"', GUIDES[slug].html):
        path = urlsplit(link).path
        known = path in pages or path.removeprefix("/docs/") in GUIDES
        assert known, link


def test_html_in_a_guide_is_text() -> None:
    guide = guides.render(
        "x", "# Title\n\nSummary.\n\n## <b>Part</b>\n\n<script>alert(1)</script>\n"
    )
    assert "<script>" not in guide.html
    assert "&lt;script&gt;" in guide.html


@pytest.mark.parametrize("slug", guides.ORDER)
def test_no_mark_of_markdown_is_left_to_read(slug: str) -> None:
    """A | in code of a table's cell ends the cell, unless a backslash stands before it."""
    guide = GUIDES[slug]
    text = re.sub(r"<pre.*?</pre>|<code>.*?</code>", "", guide.html, flags=re.DOTALL)
    assert "`" not in text
    assert "**" not in text + guide.summary


def test_formulas_in_tables_are_whole() -> None:
    assert "<code>H(0x01 || left || right)</code>" in HOW


def test_code_can_be_scrolled_by_keyboard() -> None:
    guide = guides.render("x", "# T\n\nS.\n\n```sh\na long line\n```\n")
    assert re.search(r'<pre[^>]* tabindex="0"', guide.html)


def test_what_a_recheck_costs_is_what_was_measured() -> None:
    measured = [
        variant.steps.cost
        for calibration in open_library(None).calibrations.values()
        for variant in calibration.variants
        if calibration.model == "tabgrid-scenes" and variant.steps is not None
    ]
    (cost,) = measured
    assert f"it costs {100 * cost:g} % of" in HOW


@pytest.mark.parametrize(
    ("algorithm", "alike"),
    [
        ("embeddings", embeddings.THRESHOLDS),
        ("classify", {"": classify.THRESHOLD}),
        ("text-to-image", text_to_image.THRESHOLDS),
    ],
)
def test_thresholds_of_one_precision_and_of_two_are_those_that_are_used(
    algorithm: str, alike: dict[str, float]
) -> None:
    (row,) = re.findall(rf"<tr>\s*<td><code>{algorithm}</code>.*?</tr>", HOW, re.DOTALL)
    assert f"<td>{CONNECTORS[algorithm].mixed:g}</td>" in row
    for threshold in alike.values():
        assert format(threshold, ".5f").rstrip("0").rstrip(".") in row
