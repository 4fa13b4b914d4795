"""The written guides: Markdown files in ``docs/``, rendered once at start.

Raw HTML in them is shown as text, so that a guide can never bring in what the content
security policy would have to refuse.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

FOLDER = Path(__file__).parent.parent / "docs"
#: In the order of the menu: first those who lend and send, then who runs and extends it, then why.
ORDER = (
    *("node-owners", "api-users", "operators", "runbook"),
    *("connectors", "how-it-works", "security"),
)


class Heading(msgspec.Struct, frozen=True):
    id: str
    text: str


#: A fence of this language stands for a figure that the page draws from what was measured.
FIGURE = "figure comparators"
_PLACE = "<figure></figure>\n"


class Guide(msgspec.Struct, frozen=True):
    slug: str
    title: str
    #: The first paragraph, for the list of guides.
    summary: str
    headings: tuple[Heading, ...]
    html: Markup

    def around_figure(self) -> tuple[Markup, Markup] | None:
        """What stands before and after the place of the figure; None without one."""
        before, place, after = self.html.partition(_PLACE)
        return (Markup(before), Markup(after)) if place else None  # noqa: S704 our files


def load(folder: Path = FOLDER) -> dict[str, Guide]:
    """All guides by slug, in menu order."""
    return {slug: render(slug, (folder / f"{slug}.md").read_text("utf-8")) for slug in ORDER}


def render(slug: str, text: str) -> Guide:
    """One guide. The first line is its title, the first paragraph its summary."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("fence", _render_fence)
    tokens = markdown.parse(text)
    headings = _anchor(tokens)
    title = next(t.content for i, t in enumerate(tokens) if i and tokens[i - 1].tag == "h1")
    summary = next(_plain(t) for i, t in enumerate(tokens) if i and tokens[i - 1].tag == "p")
    html = Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704 our files
    return Guide(slug=slug, title=title, summary=summary, headings=headings, html=html)


def card(text: str) -> Markup:
    """A model's README without its title: the page has one. Pictures of it lie elsewhere."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    markdown.add_render_rule("fence", _render_fence)
    body = re.sub(r"\A# [^\n]*\n", "", text)
    # One level down: the page's own headings stand above these.
    body = re.sub(r"^(#+) ", r"#\1 ", body, flags=re.MULTILINE)
    return Markup(markdown.render(body))  # noqa: S704 HTML in it is shown as text


def _anchor(tokens: list[Token]) -> tuple[Heading, ...]:
    """Give every h2 an id made from its words, and return them for the page's contents."""
    found: list[Heading] = []
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open" and opening.tag == "h2":
            anchor = re.sub(r"[^a-z0-9]+", "-", inline.content.lower()).strip("-")
            opening.attrSet("id", anchor)
            found.append(Heading(anchor, _plain(inline)))
    return tuple(found)


def _plain(inline: Token) -> str:
    """Its words without their marks."""
    parts = inline.children or []
    return "".join(" " if part.type == "softbreak" else part.content for part in parts)


def _render_fence(self: RendererHTML, tokens: Sequence[Token], at: int, *_: Any) -> str:
    """Code that is wider than a phone scrolls in its own box, which a keyboard can reach."""
    if tokens[at].info == FIGURE:
        return _PLACE
    return f'<pre tabindex="0"><code>{escapeHtml(tokens[at].content)}</code></pre>\n'
