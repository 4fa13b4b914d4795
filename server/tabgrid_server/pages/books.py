"""What stands behind the figures: postings, statements, transactions, epochs."""

from __future__ import annotations

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..api.schemas.receipts import Receipt
from . import format as words
from .asked import address_of, job_of, number_in, origin, views_of
from .render import page
from .views import Total

#: Lines of a statement, two of which are one event: two screens, as for jobs.
LINES = 50
EPOCHS = 25
LEAVES = 50
#: Numbers of 64 and of 32 bits have a digit more; nobody counts so far.
TRANSFER_DIGITS, EPOCH_DIGITS = 15, 9
#: In the order in which money passes through them.
WALLET_ACCOUNTS = ("withheld", "claimable", "in_flight", "paid", "push_fees", "overpaid")
#: Totals of a grid, as they are headed, and what their postings are.
TOTALS: dict[Total, tuple[str, str]] = {
    "settled": (
        "Earned by nodes",
        "What each settled job earned its node, and what was taken of it or given back after"
        " checks.",
    ),
    "paid": (
        "Paid on chain",
        "For each claim that is final on chain, what left the treasury for the wallet.",
    ),
    "refunded": (
        "Failed jobs",
        "For each job that failed, the price that went back to its user.",
    ),
}


async def postings(request: Request) -> Response:
    """Behind the totals of the grid: ``of`` and ``before`` are those of the API."""
    views, asked = views_of(request), request.query_params
    of, before = asked.get("of", "settled"), asked.get("before", "")
    if of not in TOTALS:
        raise HTTPException(404, "There is no such total. The explorer shows all there are.")
    number = number_in(before, TRANSFER_DIGITS)
    stats = await views.stats()
    heading, lead = TOTALS[of]
    figures = {
        "settled": f"{words.amount(stats.settled, stats.token)}, {words.plural(stats.done, 'job')}",
        "paid": words.amount(stats.paid, stats.token),
        "refunded": words.plural(stats.failed, "job"),
    }
    return page(
        request,
        "postings.html",
        section="/explorer",
        job=None,
        of=of,
        totals=[(name, told[0]) for name, told in TOTALS.items()],
        heading=heading,
        lead=lead,
        figure=figures[of],
        paged=number is not None,
        postings=await views.postings(of, LINES, number),
        json=f"/api/postings?of={of}",
    )


async def job_postings(request: Request) -> Response:
    row = await job_of(request)
    return page(
        request,
        "postings.html",
        section="/explorer",
        job=row.id,
        heading="Postings of a job",
        lead="What moved for it alone: pay is released with that of other jobs. A transfer's"
        " postings share its number and sum to zero.",
        paged=False,
        postings=await views_of(request).job_postings(row.id),
        json=f"/api/jobs/{row.id}/postings",
    )


async def statement(request: Request) -> Response:
    """Without a wallet's own pages around it, so that a figure's link shows its postings at
    once: ``account``, ``ref`` and ``before`` are those of the API."""
    address = address_of(request)
    asked = request.query_params
    account, ref, before = asked.get("account"), asked.get("ref"), asked.get("before", "")
    if account not in (None, *WALLET_ACCOUNTS):
        raise HTTPException(404, "A wallet has no such account. The statement shows all it has.")
    number = number_in(before, TRANSFER_DIGITS)
    return page(
        request,
        "statement.html",
        section="/explorer",
        address=address,
        account=account,
        accounts=WALLET_ACCOUNTS,
        ref=ref,
        paged=number is not None,
        statement=await views_of(request).statement(address, LINES, account, ref, number),
    )


async def key_statement(request: Request) -> Response:
    """The server does not know whose it is: the browser asks with the key that it keeps."""
    data = {
        "token": views_of(request).chain().token,
        "kinds": words.KINDS,
        "accounts": words.ACCOUNTS,
    }
    return page(
        request,
        "key_statement.html",
        section="/playground",
        origin=origin(request),
        page_data=data,
    )


async def transaction(request: Request) -> Response:
    found = await views_of(request).transaction(request.path_params["signature"])
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
    before = number_in(request.query_params.get("before", ""), EPOCH_DIGITS)
    told = await views_of(request).epochs(EPOCHS, before)
    older = told.epochs[-1].epoch if told.epochs else 1
    return page(
        request,
        "epochs.html",
        section="/explorer",
        told=told,
        paged=before is not None,
        older=older if older > 1 else None,
    )


async def epoch(request: Request) -> Response:
    views, number = views_of(request), number_in(request.path_params["number"], EPOCH_DIGITS)
    found = None if number is None else await views.epoch(number)
    if found is None:
        raise HTTPException(404, "There is no such epoch yet. They have numbers, from 1 on.")
    start = number_in(request.query_params.get("start", ""), EPOCH_DIGITS) or 0
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
        page_data={"epoch": found.epoch},
    )


def _receipt(text: str) -> Receipt | None:
    """None for one that was tampered with so that nobody can read it."""
    try:
        return msgspec.json.decode(text, type=Receipt)
    except msgspec.DecodeError:
        return None
