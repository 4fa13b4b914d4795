"""Templates: one environment for the process, escaping everything, refusing unknown names."""

from __future__ import annotations

import time
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from . import evidence
from . import format as words
from .assets import Assets
from .views import Chain, Views

TEMPLATES = Path(__file__).parent.parent / "templates"

#: Inside <script type="application/json"> only these could end the element or a line.
_SCRIPT_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028"}


def for_script(value: Any) -> Markup:
    """JSON that is safe between script tags: no character of it can close them."""
    text = msgspec.json.encode(value).decode()
    for character, escape in _SCRIPT_ESCAPES.items():
        text = text.replace(character, escape)
    return Markup(text)  # noqa: S704 every character that means something to HTML is escaped


@cache
def environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        amount=words.amount,
        amount_exact=words.amount_exact,
        pay=words.pay,
        count=words.count,
        plural=words.plural,
        percent=words.percent,
        megabytes=words.megabytes,
        duration=words.duration,
        exact=words.exact,
        iso=words.iso,
        short=words.short,
        backend=words.backend,
        account=words.account,
        kind=words.kind,
        exact_hour=words.exact_hour,
        distance=evidence.figure_of,
        probability=evidence.probability,
        purpose=evidence.purpose,
        why_given_up=evidence.why_given_up,
        standing=words.standing,
        standing_look=words.standing_look,
        standing_meaning=words.standing_meaning,
        refusal=words.refusal,
        json=for_script,
    )
    env.globals["ago"] = words.ago
    env.globals["share"] = evidence.share
    return env


def page(request: Request, template: str, /, status: int = 200, **context: Any) -> HTMLResponse:
    """Render one template with what every page needs: assets, the chain and the time."""
    assets: Assets = request.app.state.assets
    views: Views = request.app.state.views
    chain = views.chain()
    text = (
        environment()
        .get_template(template)
        .render(
            asset=assets,
            preload_fonts=assets.fonts,
            chain=chain,
            transaction_url=partial(_transaction_url, chain),
            now=time.time(),
            path=request.url.path,
            **{"section": None, **context},
        )
    )
    # Pages carry live figures: a stored copy may be shown again only after asking us.
    return HTMLResponse(text, status, headers={"Cache-Control": "no-cache"})


def _transaction_url(chain: Chain, signature: str) -> str | None:
    """A public explorer's page, to compare ours with; a local chain has none."""
    if chain.local:
        return None
    cluster = "" if chain.cluster == "mainnet" else f"?cluster={chain.cluster}"
    return f"https://explorer.solana.com/tx/{signature}{cluster}"
