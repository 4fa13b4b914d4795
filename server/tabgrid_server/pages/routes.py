"""Which page is where, and what a person sees where there is none."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from . import books, explorer, front, reading
from .render import TEMPLATES, page

#: What failed, to what, and what to do; by status.
_ERRORS = {
    404: ("There is no such page", "The address may be mistyped, or what it named is gone."),
    405: ("This page can only be read", "Open its address in a browser instead."),
    429: ("Too many requests", "This coordinator limits how often one address may ask. Wait."),
    500: (
        "The coordinator failed",
        "The fault is ours. No job or token is lost by it: both are written before they are shown.",
    ),
    503: ("The coordinator is stopping", "It will be back. Jobs in hand are finished first."),
}


def routes() -> list[Route]:
    """All pages. They read ``app.state.views`` (``Views``) and ``app.state.assets``."""
    return [
        Route("/", front.home),
        Route("/node", front.node),
        Route("/playground", front.playground),
        Route("/playground/statement", books.key_statement),
        Route("/explorer", explorer.explorer),
        Route("/explorer/pictures", explorer.pictures),
        Route("/explorer/jobs/{id}", explorer.job),
        Route("/explorer/jobs/{id}/postings", books.job_postings),
        Route("/explorer/postings", books.postings),
        Route("/explorer/health", explorer.health),
        Route("/explorer/wallets/{address}", explorer.wallet),
        Route("/explorer/wallets/{address}/statement", books.statement),
        Route("/explorer/transactions/{signature}", books.transaction),
        Route("/explorer/epochs", books.epochs),
        Route("/explorer/epochs/{number}", books.epoch),
        Route("/docs", reading.docs),
        Route("/docs/{slug}", reading.guide),
        Route("/favicon.svg", favicon),
        Route("/favicon.ico", favicon),
        Route("/manifest.webmanifest", web_manifest),
    ]


async def favicon(request: Request) -> Response:
    return FileResponse(
        TEMPLATES / "favicon.svg",
        media_type="image/svg+xml",
        headers={"Cache-Control": "public, max-age=86400"},
    )


async def web_manifest(request: Request) -> Response:
    """What a browser needs to offer "install": the node page as an app of its own."""
    return JSONResponse(
        {
            "name": "Tabgrid",
            "short_name": "Tabgrid",
            "start_url": "/node",
            "display": "standalone",
            "background_color": "#f7f7f5",
            "theme_color": "#f7f7f5",
            "icons": [{"src": "/favicon.svg", "sizes": "any", "type": "image/svg+xml"}],
        },
        media_type="application/manifest+json",
    )


def error_page(request: Request, status: int, detail: str = "") -> Response:
    """What a person sees instead of a page. API paths answer with JSON instead."""
    title, advice = _ERRORS.get(status, (HTTPStatus(status).phrase, ""))
    return page(
        request, "error.html", status=status, code=status, title=title, advice=detail or advice
    )
