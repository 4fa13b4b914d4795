"""One function per page: ask the views, pick the template."""

from __future__ import annotations

import re
import time
from functools import cache
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from ..api.schemas import JobRow, Receipt
from . import charts, guides, spreads
from . import format as words
from . import playground as choices
from .render import TEMPLATES, page
from .views import Views

#: Rows of a first page: two screens on a desktop, and a reply of about 10 kB compressed.
JOBS = 25
#: Two rows on a desktop.
PICTURES = 12
#: Lines of a statement, two of which are one event: two screens, as for jobs.
LINES = 50
EPOCHS = 25
LEAVES = 50
#: In the order in which money passes through them.
WALLET_ACCOUNTS = ("withheld", "claimable", "in_flight", "paid", "push_fees", "overpaid")
#: Squares that can be told apart; beyond it the picture says how many more there are.
NODES = 240

_ADDRESS = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")
_JOB = re.compile(r"job_[0-9A-HJKMNP-TV-Z]{26}")
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
        Route("/", home),
        Route("/node", node),
        Route("/playground", playground),
        Route("/playground/statement", key_statement),
        Route("/explorer", explorer),
        Route("/explorer/jobs/{id}", job),
        Route("/explorer/wallets/{address}", wallet),
        Route("/explorer/wallets/{address}/statement", statement),
        Route("/explorer/transactions/{signature}", transaction),
        Route("/explorer/epochs", epochs),
        Route("/explorer/epochs/{number}", epoch),
        Route("/docs", docs),
        Route("/docs/{slug}", guide),
        Route("/favicon.svg", favicon),
        Route("/favicon.ico", favicon),
        Route("/manifest.webmanifest", web_manifest),
    ]


async def home(request: Request) -> Response:
    views = _views(request)
    stats = await views.stats()
    return page(
        request,
        "home.html",
        stats=stats,
        hour=charts.hour(stats.hour),
        nodes=(await views.nodes())[:NODES],
        grids=await views.grids(),
        origin=_origin(request),
    )


async def node(request: Request) -> Response:
    views = _views(request)
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
    views = _views(request)
    wanted = request.query_params.get("model")
    context = choices.context(views.models(), wanted, _origin(request))
    chain = views.chain()
    named = f"solana:{chain.cluster}" if chain.claims else ""
    context["page_data"] |= {"token": chain.token, "chain": named, "local": chain.local}
    return page(request, "playground.html", section="/playground", **context)


async def key_statement(request: Request) -> Response:
    """The server does not know whose it is: the browser asks with the key that it keeps."""
    data = {
        "token": _views(request).chain().token,
        "kinds": words.KINDS,
        "accounts": words.ACCOUNTS,
    }
    return page(
        request,
        "key_statement.html",
        section="/playground",
        origin=_origin(request),
        page_data=data,
    )


async def explorer(request: Request) -> Response:
    views = _views(request)
    stats = await views.stats()
    before = request.query_params.get("before")
    jobs = await views.recent_jobs(JOBS, before=before if _is_job(before) else None)
    nodes = await views.nodes()
    return page(
        request,
        "explorer.html",
        section="/explorer",
        stats=stats,
        hour=charts.hour(stats.hour),
        pictures=[] if before else await views.pictures(PICTURES),
        draws=any(card.model.connector == "text-to-image" for card in views.models()),
        jobs=jobs,
        older=jobs[-1].id if len(jobs) == JOBS else None,
        paged=before is not None,
        nodes=nodes[:NODES],
        nodes_hidden=max(len(nodes) - NODES, 0),
        page_data={"hour": stats.hour, "token": stats.token, "live": before is None},
    )


async def job(request: Request) -> Response:
    views = _views(request)
    row = await _job(request)
    receipt = await views.receipt(row.id)
    claim = await views.claim(row.claim) if row.claim else None
    now = time.time()
    return page(
        request,
        "job.html",
        section="/explorer",
        job=row,
        unit=await _unit(views, row),
        picture=await views.picture(row),
        receipt=receipt,
        proof=await views.proof(row.id) if receipt else None,
        every_s=views.chain().epoch_s,
        claim=claim,
        bar=charts.job_bar(row, now),
        money_bar=charts.money_bar(receipt, claim, now) if receipt else None,
        page_data={"job": row.id, "refresh_at": receipt.release_at if receipt else None},
    )


async def wallet(request: Request) -> Response:
    views = _views(request)
    address = _address(request)
    before = request.query_params.get("before")
    jobs = await views.recent_jobs(JOBS, before=before if _is_job(before) else None, wallet=address)
    figures = await views.wallet(address)
    return page(
        request,
        "wallet.html",
        section="/explorer",
        wallet=figures,
        bar=charts.wallet_bar(figures),
        claims=await views.claims(address),
        jobs=jobs,
        older=jobs[-1].id if len(jobs) == JOBS else None,
        nodes=[node for node in await views.nodes() if node.wallet == address],
        page_data={"wallet": address, "refresh_at": figures.next_release_at},
    )


async def statement(request: Request) -> Response:
    """Without a wallet's own pages around it, so that a figure's link shows its postings at
    once: ``account``, ``ref`` and ``before`` are those of the API."""
    address = _address(request)
    asked = request.query_params
    account, ref, before = asked.get("account"), asked.get("ref"), asked.get("before", "")
    if account not in (None, *WALLET_ACCOUNTS):
        raise HTTPException(404, "A wallet has no such account. The statement shows all it has.")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 16 else None
    return page(
        request,
        "statement.html",
        section="/explorer",
        address=address,
        account=account,
        accounts=WALLET_ACCOUNTS,
        ref=ref,
        paged=number is not None,
        statement=await _views(request).statement(address, LINES, account, ref, number),
    )


async def transaction(request: Request) -> Response:
    found = await _views(request).transaction(request.path_params["signature"])
    if found is None:
        raise HTTPException(404, "No claim of this grid has a transaction with this signature.")
    return page(
        request,
        "transaction.html",
        section="/explorer",
        claim=found.claim,
        claims=found.claims or (found.claim,),
        on_chain=found.on_chain,
        problem=found.problem,
    )


async def epochs(request: Request) -> Response:
    before = request.query_params.get("before", "")
    told = await _views(request).epochs(EPOCHS, int(before) if _is_number(before) else None)
    older = told.epochs[-1].epoch if told.epochs else 1
    return page(
        request,
        "epochs.html",
        section="/explorer",
        told=told,
        paged=_is_number(before),
        older=older if older > 1 else None,
    )


async def epoch(request: Request) -> Response:
    views, number = _views(request), request.path_params["number"]
    found = await views.epoch(int(number)) if _is_number(number) else None
    if found is None:
        raise HTTPException(404, "There is no such epoch yet. They have numbers, from 1 on.")
    asked = request.query_params.get("start", "")
    start = int(asked) if _is_number(asked) else 0
    leaves = await views.leaves(found.epoch, start, LEAVES)
    receipts = [_receipt(leaf.receipt) for leaf in leaves.leaves if leaf.receipt is not None]
    return page(
        request,
        "epoch.html",
        section="/explorer",
        epoch=found,
        start=start,
        next=leaves.next,
        receipts=[each for each in receipts if each is not None],
        earned=[leaf for leaf in leaves.leaves if leaf.wallet is not None],
        on_chain=await views.memo_on_chain(found),
    )


async def docs(request: Request) -> Response:
    return page(request, "docs.html", section="/docs", guides=_guides())


async def guide(request: Request) -> Response:
    found = _guides().get(request.path_params["slug"])
    if found is None:
        raise HTTPException(404, "There is no such guide. The list of guides is at /docs.")
    drawn = spreads.panels(await _views(request).calibrations()) if found.around_figure() else []
    return page(request, "guide.html", section="/docs", guides=_guides(), guide=found, panels=drawn)


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


async def _unit(views: Views, job: JobRow) -> str:
    """What the work of a job is counted in; its model may no longer be offered."""
    models = [model for grid in await views.grids() for model in grid.models]
    return next((model.unit for model in models if model.id == job.model), "unit")


def _origin(request: Request) -> str:
    """As the reader reached us, for examples that can be pasted."""
    return str(request.base_url).rstrip("/")


async def _job(request: Request) -> JobRow:
    id = request.path_params["id"]
    row = await _views(request).job(id) if _is_job(id) else None
    if row is None:
        raise HTTPException(404, "No job has this id. Ids begin with job_ and are case-sensitive.")
    return row


def _address(request: Request) -> str:
    address: str = request.path_params["address"]
    if not _ADDRESS.fullmatch(address):
        raise HTTPException(404, "This is not a Solana address: those are 32-44 base58 characters.")
    return address


def _views(request: Request) -> Views:
    views: Views = request.app.state.views
    return views


def _receipt(text: str) -> Receipt | None:
    """None for one that was tampered with so that nobody can read it."""
    try:
        return msgspec.json.decode(text, type=Receipt)
    except msgspec.DecodeError:
        return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 9


def _is_job(id: str | None) -> bool:
    return id is not None and _JOB.fullmatch(id) is not None


@cache
def _guides() -> dict[str, guides.Guide]:
    return guides.load()
