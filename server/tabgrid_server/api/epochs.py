"""What anybody needs to check the books without us: epochs, receipts, proofs, statements."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from ..chain.attesting import Attesting
from ..chain.payouts import NoChain
from ..errors import NotFound
from ..published import receipt_leaves
from ..services import services
from ..store import corrections as stored_corrections
from ..store import receipts as stored_receipts
from .operations import Operation, operation
from .schemas.attestation import Attestation, Balances
from .schemas.base import Request as Body
from .schemas.epochs import CorrectionsProof, Epoch, Epochs, Leaves, Proof, Receipts
from .schemas.receipts import CorrectionLink, Corrections, Receipt

Number = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Place = Annotated[int, Meta(ge=0, le=2**53 - 1)]
#: A receipt is about 900 bytes: a page of a thousand stays under a megabyte.
Limit = Annotated[int, Meta(ge=1, le=1_000)]


class EpochsQuery(Body, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 25
    #: The last number of the page before.
    before: Number | None = None


class LeavesQuery(Body, frozen=True):
    start: Place = 0
    limit: Limit = 1_000


class ReceiptsQuery(Body, frozen=True):
    #: The last number of the page before.
    after: Place = 0
    limit: Limit = 1_000


class BalancesQuery(Body, frozen=True):
    #: Of the statement that they belong to.
    signature: Annotated[str, Meta(min_length=64, max_length=88)]
    start: Place = 0
    limit: Limit = 1_000


@operation(
    "GET",
    "/api/epochs",
    tag="Receipts",
    summary="Receipts by the roots that are on chain, newest first",
    query=EpochsQuery,
    returns=Epochs,
)
async def list_epochs(request: Request, query: EpochsQuery) -> Epochs:
    return await services(request).views.epochs(query.limit, query.before)


@operation(
    "GET",
    "/api/epochs/{number}",
    tag="Receipts",
    summary="One epoch, and the memo that publishes it",
    returns=Epoch,
    errors=(404,),
)
async def get_epoch(request: Request) -> Epoch:
    return await services(request).published.epoch(_number(request))


@operation(
    "GET",
    "/api/epochs/{number}/leaves",
    tag="Receipts",
    summary="What an epoch's root is made of, in the order of its leaves",
    query=LeavesQuery,
    returns=Leaves,
    errors=(404,),
)
async def get_leaves(request: Request, query: LeavesQuery) -> Leaves:
    return await services(request).published.leaves(_number(request), query.start, query.limit)


@operation(
    "GET",
    "/api/epochs/{number}/corrections",
    tag="Receipts",
    summary="That an epoch holds the corrections as they stood when it was closed",
    returns=CorrectionsProof,
    errors=(404,),
)
async def get_corrections_proof(request: Request) -> CorrectionsProof:
    return await services(request).published.corrections_proof(_number(request))


@operation(
    "GET",
    "/api/receipts",
    tag="Receipts",
    summary="Receipts in the order of settlement, those too that are in no epoch yet",
    query=ReceiptsQuery,
    returns=Receipts,
)
async def list_receipts(request: Request, query: ReceiptsQuery) -> Receipts:
    store = services(request).store
    found = await store.read(stored_receipts.after, query.after, query.limit)
    return Receipts(tuple(receipt_leaves(found)))


@operation(
    "GET",
    "/api/receipts/{job}",
    tag="Receipts",
    summary="The public record of a settled job: the bytes whose SHA-256 its epoch holds",
    returns=Receipt,
    errors=(404,),
)
async def get_receipt(request: Request) -> Response:
    store = services(request).store
    receipt = await store.read(stored_receipts.get, request.path_params["job"])
    if receipt is None:
        raise NotFound("There is no receipt of this job: it is not settled, or does not exist.")
    return Response(receipt.body, media_type="application/json")


@operation(
    "GET",
    "/api/receipts/{job}/proof",
    tag="Receipts",
    summary="That a receipt is in its epoch; 404 while it is in none",
    returns=Proof,
    errors=(404,),
)
async def get_proof(request: Request) -> Proof:
    at = services(request)
    proof = await at.published.proof(request.path_params["job"])
    if proof is None:
        every = at.settings.chain.epoch_s
        raise NotFound(f"This receipt is in no epoch yet; one is closed every {every} s.")
    return proof


@operation(
    "GET",
    "/api/corrections",
    tag="Receipts",
    summary="What was changed of nodes' pay after their receipts, and why, in order",
    query=ReceiptsQuery,
    returns=Corrections,
)
async def list_corrections(request: Request, query: ReceiptsQuery) -> Corrections:
    store = services(request).store
    found = await store.read(stored_corrections.after, query.after, query.limit)
    return Corrections(
        tuple(CorrectionLink(each.number, each.body.decode(), each.hash) for each in found)
    )


@operation(
    "GET",
    "/api/attestation",
    tag="Receipts",
    summary="What the grid owes, signed with its key; `tabgrid audit` holds it against the rest",
    returns=Attestation,
    errors=(404, 503),
)
async def get_attestation(request: Request) -> Attestation:
    return await _attesting(request).statement()


@operation(
    "GET",
    "/api/attestation/balances",
    tag="Receipts",
    summary="Every wallet's balance as a statement commits to them",
    query=BalancesQuery,
    returns=Balances,
    errors=(404, 503),
)
async def list_balances(request: Request, query: BalancesQuery) -> Balances:
    found = _attesting(request).balances(query.signature, query.start, query.limit)
    if found is None:
        raise NotFound("This statement is not kept any more; ask for a new one.")
    return found


def _attesting(request: Request) -> Attesting:
    try:
        return services(request).payouts.attesting
    except NoChain as error:
        raise NotFound(str(error)) from error


def _number(request: Request) -> int:
    text: str = request.path_params["number"]
    if not text.isdecimal() or len(text) > 9:
        raise NotFound("Epochs have numbers, from 1 on.")
    return int(text)


OPERATIONS: tuple[Operation, ...] = (
    list_epochs,
    get_epoch,
    get_leaves,
    get_corrections_proof,
    list_receipts,
    get_receipt,
    get_proof,
    list_corrections,
    get_attestation,
    list_balances,
)
