"""What the grid does, for everybody to see: jobs, pictures, wallets, health."""

from __future__ import annotations

import time
from typing import Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..api.schemas.claims import Claim
from ..api.schemas.jobs import JobRow
from ..api.schemas.receipts import Receipt
from . import charts, evidence
from .asked import address_of, is_job, job_of, views_of
from .front import NODES
from .render import page
from .views import Views

#: Rows of a first page: two screens on a desktop, and a reply of about 10 kB compressed.
JOBS = 25
#: Two rows on a desktop, and six of a page of their own.
PICTURES = 12
ALBUM = 36
#: Kinds of devices that cannot run a model; the API has all.
KINDS = 12


async def explorer(request: Request) -> Response:
    views = views_of(request)
    stats = await views.stats()
    before = request.query_params.get("before")
    jobs = await views.recent_jobs(JOBS, before=before if is_job(before) else None)
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
        unsupported=(await views.unsupported())[:KINDS] if not before else [],
        page_data={"hour": stats.hour, "token": stats.token, "live": before is None},
    )


async def pictures(request: Request) -> Response:
    views = views_of(request)
    before = request.query_params.get("before")
    paged = is_job(before)
    shown = await views.pictures(ALBUM, before if paged else None)
    return page(
        request,
        "pictures.html",
        section="/explorer",
        pictures=shown,
        paged=paged,
        older=shown[-1].job.id if len(shown) == ALBUM else None,
        token=views.chain().token,
    )


async def job(request: Request) -> Response:
    views = views_of(request)
    row = await job_of(request)
    receipt = await views.receipt(row.id)
    claim = await views.claim(row.claim) if row.claim else None
    found = await views.evidence(row.id, receipt)
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
        evidence=found,
        verdict=evidence.verdict(found.state),
        check_rows=evidence.checks(found),
        draw_gauge=evidence.draw_gauge(found.draw) if found.draw else None,
        bar=charts.job_bar(row, now),
        money_bar=_money_bar(row, receipt, claim, now),
        page_data={"job": row.id, "refresh_at": receipt.release_at if receipt else None},
    )


async def _unit(views: Views, job: JobRow) -> str:
    """What the work of a job is counted in; its model may no longer be offered."""
    models = [model for grid in await views.grids() for model in grid.models]
    return next((model.unit for model in models if model.id == job.model), "unit")


def _money_bar(
    row: JobRow, receipt: Receipt | None, claim: Claim | None, now: float
) -> charts.Bar | None:
    if receipt is None or row.pay_state in ("void", "forfeit"):
        return None
    return charts.money_bar(receipt, claim, now, withheld=row.pay_state == "withheld")


async def wallet(request: Request) -> Response:
    views = views_of(request)
    address = address_of(request)
    before = request.query_params.get("before")
    jobs = await views.recent_jobs(JOBS, before=before if is_job(before) else None, wallet=address)
    figures = await views.wallet(address)
    return page(
        request,
        "wallet.html",
        section="/explorer",
        wallet=figures,
        bar=charts.wallet_bar(figures),
        record=await views.record(address),
        claims=await views.claims(address),
        jobs=jobs,
        older=jobs[-1].id if len(jobs) == JOBS else None,
        nodes=[node for node in await views.nodes() if node.wallet == address],
        page_data={"wallet": address, "refresh_at": figures.next_release_at},
    )


async def health(request: Request) -> Response:
    views, asked = views_of(request), request.query_params
    grids = await views.grids()
    by: Literal["hour", "day"] = "day" if asked.get("by") == "day" else "hour"
    wanted = asked.get("grid") or (grids[0].id if grids else "")
    found = await views.health(wanted, by) if wanted else evidence.no_grid(by)
    if found is None:
        raise HTTPException(404, "There is no such grid here. The home page shows all that are.")
    return page(
        request,
        "health.html",
        section="/explorer",
        health=found,
        grids=grids,
        title=next((grid.title for grid in grids if grid.id == found.grid), "No grid yet"),
        references=sum(found.references.values()),
        drawn=evidence.audit_chart(found),
        differed=evidence.mismatch_chart(found),
        rows=evidence.class_rows(found),
        from_words="48 h ago" if found.by == "hour" else "30 days ago",
    )
