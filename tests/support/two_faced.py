"""A grid as it would speak with another face: its public API, with some answers changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.proxies import serving

#: Path and answer -> the answer that is given instead.
Change = Callable[[str, Any], Any]


@asynccontextmanager
async def two_faced(grid: str, change: Change) -> AsyncIterator[str]:
    """Serve the API of ``grid`` with each answer put through ``change``; yields the URL."""
    async with httpx.AsyncClient(base_url=grid, trust_env=False, timeout=30) as http:

        async def get(request: Request) -> Response:
            told = await http.get(request.url.path, params=dict(request.query_params))
            if told.status_code != 200:
                return Response(told.content, told.status_code)
            return JSONResponse(change(request.url.path, told.json()))

        async with serving(Starlette(routes=[Route("/{rest:path}", get)])) as url:
            yield url
