from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from tabgrid_server.pages import guides, routes

GUIDES = guides.load()


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


def test_code_can_be_scrolled_by_keyboard() -> None:
    guide = guides.render("x", "# T\n\nS.\n\n```sh\na long line\n```\n")
    assert re.search(r'<pre[^>]* tabindex="0"', guide.html)
