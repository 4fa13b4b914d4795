"""Where people come in: the home page, the node, the playground."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from . import charts
from . import playground as choices
from .asked import origin, views_of
from .render import page

#: Squares that can be told apart; beyond it the picture says how many more there are.
NODES = 240


async def home(request: Request) -> Response:
    views = views_of(request)
    stats = await views.stats()
    return page(
        request,
        "home.html",
        stats=stats,
        hour=charts.hour(stats.hour),
        nodes=(await views.nodes())[:NODES],
        grids=await views.grids(),
        origin=origin(request),
    )


async def node(request: Request) -> Response:
    views = views_of(request)
    grids = await views.grids()
    chain = views.chain()
    data = {
        "page": "/node",
        "assets": request.app.state.assets.urls,
        "grids": grids,
        "chain": {
            "cluster": chain.cluster,
            "local": chain.local,
            "claims": chain.claims,
            "symbol": chain.token.symbol,
            "decimals": chain.token.decimals,
            "mint": chain.token.mint,
        },
    }
    return page(request, "node.html", section="/node", grids=grids, page_data=data)


async def playground(request: Request) -> Response:
    views = views_of(request)
    wanted = request.query_params.get("model")
    context = choices.context(views.models(), wanted, origin(request))
    chain = views.chain()
    named = f"solana:{chain.cluster}" if chain.claims else ""
    checking = {grid.id for grid in await views.grids() if grid.check_bps is not None}
    context["check_offered"] = context["chosen"] is not None and context["chosen"].grid in checking
    context["page_data"] |= {"token": chain.token, "chain": named, "local": chain.local}
    return page(request, "playground.html", section="/playground", **context)
