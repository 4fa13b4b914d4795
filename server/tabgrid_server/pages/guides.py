"""The written guides: Markdown files in ``docs/``, rendered once at start.

Raw HTML in them is shown as text, so that a guide can never bring in what the content
security policy would have to refuse.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

FOLDER = Path(__file__).parent.parent / "docs"
#: In the order of the menu: first those who lend and send, then who runs it, then why.
ORDER = ("node-owners", "api-users", "operators", "how-it-works", "security")


class Heading(msgspec.Struct, frozen=True):
    id: str
    text: str


class Guide(msgspec.Struct, frozen=True):
    slug: str
    title: str
    #: The first paragraph, for the list of guides.
    summary: str
    headings: tuple[Heading, ...]
    html: Markup


def load(folder: Path = FOLDER) -> dict[str, Guide]:
    """All guides by slug, in menu order."""
    return {slug: render(slug, (folder / f"{slug}.md").read_text("utf-8")) for slug in ORDER}


def render(slug: str, text: str) -> Guide:
    """One guide. The first line is its title, the first paragraph its summary."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    headings = _anchor(tokens)
    _wrap_tables(tokens)
    _make_code_scrollable(tokens)
    title = next(t.content for i, t in enumerate(tokens) if i and tokens[i - 1].tag == "h1")
    summary = next(t.content for i, t in enumerate(tokens) if i and tokens[i - 1].tag == "p")
    html = Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704 our files
    return Guide(slug=slug, title=title, summary=summary, headings=headings, html=html)


def _anchor(tokens: list[Token]) -> tuple[Heading, ...]:
    """Give every h2 an id made from its words, and return them for the page's contents."""
    found: list[Heading] = []
    for opening, inline in zip(tokens, tokens[1:], strict=False):
        if opening.type == "heading_open" and opening.tag == "h2":
            anchor = re.sub(r"[^a-z0-9]+", "-", inline.content.lower()).strip("-")
            opening.attrSet("id", anchor)
            plain = "".join(t.content for t in inline.children or [])
            found.append(Heading(anchor, plain))
    return tuple(found)


def _wrap_tables(tokens: list[Token]) -> None:
    """A wide table scrolls inside its own region, reachable by keyboard; the page does not."""
    for token in tokens:
        if token.type == "table_open":
            token.attrSet("class", "guide-table")


def _make_code_scrollable(tokens: list[Token]) -> None:
    for token in tokens:
        if token.type == "fence":
            token.attrSet("class", "guide-code")
