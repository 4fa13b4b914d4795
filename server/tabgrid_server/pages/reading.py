"""The guides under /docs."""

from __future__ import annotations

from functools import cache

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from . import guides, spreads
from .asked import views_of
from .render import page


async def docs(request: Request) -> Response:
    return page(request, "docs.html", section="/docs", guides=_guides())


async def guide(request: Request) -> Response:
    found = _guides().get(request.path_params["slug"])
    if found is None:
        raise HTTPException(404, "There is no such guide. The list of guides is at /docs.")
    drawn = spreads.panels(await views_of(request).calibrations()) if found.around_figure() else []
    return page(request, "guide.html", section="/docs", guides=_guides(), guide=found, panels=drawn)


@cache
def _guides() -> dict[str, guides.Guide]:
    return guides.load()
