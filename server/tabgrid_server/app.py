"""The application: every part made once, in order, and let go in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from tabgrid_models.catalogue import connector_of

from . import blobs, metrics
from .api import (
    account,
    checks,
    claims,
    deposits,
    epochs,
    errors,
    grid,
    images,
    jobs,
    media,
    openai,
    postings,
    quotes,
    statements,
    strikes,
)
from .api import blobs as api_blobs
from .api.openapi import describe
from .auth import Keys, Sessions
from .chain.payouts import Payouts
from .coordinator import Coordinator, offers
from .housekeeping import keep_house
from .lasting import end, kept
from .library import Library, open_library
from .limits import RateLimit
from .middleware import Envelope
from .pages import routes as page_routes
from .pages.assets import Assets
from .pages.routes import error_page
from .published import Published
from .services import Services, services
from .settings import Settings
from .sockets import NodeSockets
from .static_files import DIST, StaticAssets
from .store import Store, StoreUnavailable
from .store import ledger as stored_ledger
from .views import GridViews

log = structlog.get_logger("tabgrid.app")

OPERATIONS = (
    *openai.OPERATIONS,
    *images.OPERATIONS,
    *quotes.OPERATIONS,
    *jobs.OPERATIONS,
    *media.OPERATIONS,
    *grid.OPERATIONS,
    *account.OPERATIONS,
    *claims.OPERATIONS,
    *deposits.OPERATIONS,
    *statements.OPERATIONS,
    *epochs.OPERATIONS,
    *checks.OPERATIONS,
    *postings.OPERATIONS,
    *strikes.OPERATIONS,
    *api_blobs.OPERATIONS,
)
#: Paths whose errors are for programs.
API = ("/api/", "/v1/", "/weights/", "/metrics", "/healthz", "/readyz", "/openapi.json")


def create_app(settings: Settings) -> Starlette:
    """The ASGI application of one coordinator.

    Raises ``AssetsMissing`` without a web bundle, ``LibraryError`` for broken models, and
    ``SettingsError`` for a grid that offers a model which is not there, or a place for blobs
    which cannot be.
    """
    assets = Assets.load(DIST)
    library = open_library(settings.library)
    offered = offers.build(
        settings.grids,
        library.catalogue.by_id,
        connector_of,
        library.tokenizer,
        library.thresholds,
        library.step_thresholds,
    )

    place = blobs.open_blobs(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            made = await _make(settings, library, offered, place, stack)
            app.state.services, app.state.views = made, made.views
            await made.coordinator.start()
            stack.push_async_callback(made.coordinator.stop)
            house, payouts = partial(keep_house, made), made.payouts.run
            for name, work in (("house", house), ("payouts", payouts)):
                stack.push_async_callback(end, [asyncio.create_task(kept(name, work))])
            yield

    app = Starlette(
        routes=_routes(settings),
        lifespan=lifespan,
        middleware=[Middleware(Envelope)],
        exception_handlers={
            **errors.HANDLERS,
            HTTPException: _on_http_exception,
            Exception: _on_bug,
        },
    )
    app.state.settings, app.state.assets = settings, assets
    return app


async def _make(
    settings: Settings,
    library: Library,
    offered: offers.Offers,
    place: blobs.Blobs,
    stack: AsyncExitStack,
) -> Services:
    store = await Store.open(settings.database)
    stack.push_async_callback(store.close)
    keeper = blobs.Keeper(store, place, settings.blobs.orphan_s)
    addresses = blobs.open_signer(settings)
    uploads = blobs.open_uploads(settings, keeper, addresses)
    coordinator = Coordinator(settings, offered, store, uploads)
    sessions = Sessions(settings, store)
    published = Published(store)
    payouts = Payouts(settings, store, lambda amount: coordinator.figures.paid(amount))
    return Services(
        settings=settings,
        store=store,
        library=library,
        coordinator=coordinator,
        sessions=sessions,
        keys=Keys(settings, store),
        sockets=NodeSockets(coordinator, sessions),
        views=GridViews(coordinator, store, payouts, published, library),
        payouts=payouts,
        published=published,
        keeper=keeper,
        addresses=addresses,
        public_requests=RateLimit("requests", settings.limits.public_requests_per_minute, 60),
        new_keys=RateLimit("new keys", settings.limits.keys_per_day, 86_400),
        refunds=RateLimit("refunds", settings.limits.refunds_per_hour, 3_600),
    )


def _routes(settings: Settings) -> list[BaseRoute]:
    async def openapi(request: Request) -> Response:
        return JSONResponse(describe(OPERATIONS, settings.url))

    async def node_socket(socket):  # type: ignore[no-untyped-def]
        await services(socket).sockets(socket)

    return [
        *(operation.route() for operation in OPERATIONS),
        Route("/openapi.json", openapi),
        Route("/metrics", _metrics),
        Route("/healthz", _healthz),
        Route("/readyz", _readyz),
        WebSocketRoute("/ws/node", node_socket),
        Mount("/static/dist", StaticAssets(DIST)),
        *page_routes(),
    ]


async def _metrics(request: Request) -> Response:
    scheduler = services(request).coordinator.scheduler
    metrics.JOBS_QUEUED.set(scheduler.queued)
    metrics.JOBS_RUNNING.set(scheduler.running)
    return Response(generate_latest(metrics.REGISTRY), media_type="text/plain; version=0.0.4")


async def _healthz(request: Request) -> Response:
    """The process answers. Nothing else: a broken database is no reason to restart it."""
    return PlainTextResponse("ok")


async def _readyz(request: Request) -> Response:
    """It takes work: not draining, and the store answers."""
    made = services(request)
    if made.coordinator.draining:
        return PlainTextResponse("draining", 503)
    try:
        await made.store.read(stored_ledger.balance, "system:fees", made.settings.chain.symbol)
    except StoreUnavailable:
        return PlainTextResponse("store unavailable", 503)
    return PlainTextResponse("ready")


def _for_program(request: Request) -> bool:
    return request.url.path.startswith(API)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if _for_program(request):
        return await errors.on_http_exception(request, error)
    detail = error.detail if error.status_code == 404 and error.detail != "Not Found" else ""
    response = error_page(request, error.status_code, detail)
    response.headers.update(error.headers or {})
    return response


async def _on_bug(request: Request, error: Exception) -> Response:
    log.error("request failed", exc_info=error)
    if _for_program(request):
        return await errors.on_bug(request, error)
    return error_page(request, 500)
