"""``/v1/images/generations``: OpenAI's endpoint, with what a grid can do beside it.

``n`` pictures are ``n`` jobs, of seed, seed + 1, …: each goes to a node of its own, and each
can be drawn again. What was drawn is paid for, so it is delivered even if another failed.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from tabgrid_models.connectors.base import InvalidInput
from tabgrid_models.drawing import MAX_SEED, TextToImageInput, TextToImageOutput

from ..coordinator import Caller, Coordinator
from ..coordinator.live import LiveJob, Outcome
from ..coordinator.offers import Offer, Priced
from ..errors import BadRequest, NotFound
from ..ledger import InsufficientFunds
from ..services import Services, services
from ..store import ledger as stored_ledger
from . import content
from .operations import Operation, operation
from .schemas.base import Request as Body
from .schemas.base import Response as Answer
from .waiting import call_off, outcomes_of

_encode = msgspec.json.Encoder().encode

ALGORITHM = "text-to-image"
#: OpenAI's own; each picture is a job, so more are as well asked for in several requests.
MAX_N = 10


class ImagesRequest(Body, frozen=True):
    prompt: str
    #: Left out: the first model of this grid that draws.
    model: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_N)] | None = None
    #: "64x64", width first, of those that the model draws; "auto" is its own.
    size: Annotated[str, Meta(max_length=16)] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    #: Accepted and not kept.
    user: Annotated[str, Meta(max_length=256)] | None = None
    #: Accepted as what they are here anyway: one quality, PNG, whole answers.
    quality: Literal["auto", "standard"] | None = None
    output_format: Literal["png"] | None = None
    stream: Literal[False] | None = None
    #: Beyond OpenAI. The first picture's seed; left out, one is drawn by lot.
    seed: Annotated[int, Meta(ge=0, le=MAX_SEED)] | None = None
    #: Left out: the model's own.
    steps: Annotated[int, Meta(ge=1)] | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    #: Whether the explorer may show prompt and picture.
    public: bool = False
    #: Whether small pictures of how far it is may be made: its node's owner sees them.
    show_preview: bool = True
    #: Whether each picture is held until one of the operator's references agrees.
    checked: bool = False


class Image(Answer, frozen=True, omit_defaults=True):
    #: The same seed, prompt and parameters draw the same picture again.
    seed: int
    #: Id of the job; /explorer/jobs/{job} says who drew it.
    job: str
    #: Works without a key for an hour; of a public picture, as long as it is kept.
    url: str | None = None
    b64_json: bytes | None = None


class ImagesDetails(Answer, frozen=True, omit_defaults=True):
    """What OpenAI's answer has no place for."""

    model: str
    #: Base units of ``token`` that the pictures below cost in all.
    price: int
    token: str
    units: int
    steps: int
    size: str
    #: Why pictures are missing, one sentence each; they cost nothing.
    failed: tuple[str, ...] = ()
    #: How many of prompt and negative prompt were longer than the model reads.
    truncated_texts: int = 0


class ImagesResponse(Answer, frozen=True):
    created: int
    data: list[Image]
    tabgrid: ImagesDetails


@operation(
    "POST",
    "/v1/images/generations",
    tag="OpenAI",
    summary="Draw pictures from a prompt",
    body=ImagesRequest,
    returns=ImagesResponse,
    auth="key",
    errors=(402, 404, 429, 502, 503, 504),
)
async def create_image(request: Request, body: ImagesRequest) -> Response:
    at = services(request)
    caller = await at.keys.required(request)
    offer = _offer(at.coordinator, body.model)
    priced = [await _priced(offer, input) for input in _inputs(body)]
    at.coordinator.require_node(offer)
    await _check_credit(at, caller, sum(each.cost(body.checked).total for each in priced))
    jobs = await _submit(at.coordinator, caller, offer, priced, body)
    outcomes = await outcomes_of(request, at.coordinator, jobs)
    answer = _answer(request, body, jobs, outcomes)
    headers = {"X-Tabgrid-Job": ", ".join(job.id for job in jobs)}
    return Response(_encode(answer), headers=headers, media_type="application/json")


async def _check_credit(at: Services, caller: Caller, price: int) -> None:
    """All pictures or none: the first should not be drawn where the last cannot be paid."""
    credit = await at.store.read(stored_ledger.credit, caller.owner, at.settings.chain.symbol)
    if credit.available < price:
        raise InsufficientFunds(caller.owner, price, credit.available)


async def _submit(
    coordinator: Coordinator,
    caller: Caller,
    offer: Offer,
    priced: list[Priced],
    body: ImagesRequest,
) -> list[LiveJob]:
    jobs: list[LiveJob] = []
    try:
        for each in priced:
            job = await coordinator.submit(
                caller,
                offer,
                each,
                public=body.public,
                show_preview=body.show_preview,
                checked=body.checked,
                interactive=True,
            )
            jobs.append(job)
    except BaseException:
        await call_off(coordinator, jobs, "Another picture of this request was refused.")
        raise
    return jobs


def _offer(coordinator: Coordinator, model: str | None) -> Offer:
    if model is None:
        drawing = (o for o in coordinator.offers.all if o.manifest.connector == ALGORITHM)
        offer = next(drawing, None)
        if offer is None:
            raise NotFound("This grid offers no model that draws.")
        return offer
    offer = coordinator.offer_of(model)
    if offer.manifest.connector != ALGORITHM:
        raise BadRequest(f"Model {model!r} does not draw pictures.", "model")
    return offer


def _inputs(body: ImagesRequest) -> list[TextToImageInput]:
    """One per picture, each of another seed."""
    n = body.n or 1
    first = secrets.randbelow(MAX_SEED - MAX_N) if body.seed is None else body.seed
    if first + n - 1 > MAX_SEED:
        raise BadRequest(
            f"Picture {n} would have the seed {first + n - 1}; seeds end at {MAX_SEED}.", "seed"
        )
    width, height = _size(body.size)
    return [
        TextToImageInput(
            body.prompt,
            body.negative_prompt or "",
            seed,
            body.steps or 0,
            width,
            height,
            body.guidance,
        )
        for seed in range(first, first + n)
    ]


def _size(size: str | None) -> tuple[int, int]:
    """Zero twice is the model's own."""
    if size in (None, "auto"):
        return 0, 0
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size or "", re.ASCII)
    if not found:
        raise BadRequest("A size is written as 64x64, width first, or auto.", "size")
    return int(found[1]), int(found[2])


async def _priced(offer: Offer, input: TextToImageInput) -> Priced:
    try:
        return await offer.price_in_time(input)
    except InvalidInput as error:
        # Here a picture has one size where the connector has two sides.
        param = "size" if error.param in ("width", "height") else error.param
        raise BadRequest(str(error), param) from error


def _answer(
    request: Request, body: ImagesRequest, jobs: list[LiveJob], outcomes: list[Outcome]
) -> ImagesResponse:
    at = services(request)
    ended = list(zip(jobs, outcomes, strict=True))
    done = [(job, outcome) for job, outcome in ended if outcome.state == "done"]
    drawn = [
        (job, msgspec.msgpack.decode(outcome.output, type=TextToImageOutput))
        for job, outcome in done
    ]
    (job, first), *_ = drawn
    details = ImagesDetails(
        model=job.offer.manifest.id,
        price=sum(job.price.total for job, _ in drawn),
        token=at.settings.chain.symbol,
        units=sum(job.units for job, _ in drawn),
        steps=job.usage["steps"],
        size=f"{first.width}x{first.height}",
        failed=tuple(outcome.error for _, outcome in ended if outcome.state != "done"),
        truncated_texts=job.usage.get("truncated_texts", 0),
    )
    images = [_image(request, at, job, output, body.response_format) for job, output in drawn]
    return ImagesResponse(int(time.time()), images, details)


def _image(
    request: Request, at: Services, job: LiveJob, output: TextToImageOutput, format: str | None
) -> Image:
    if format == "b64_json":
        return Image(output.seed, job.id, b64_json=output.image)
    path = content.image_path(at, job)
    return Image(output.seed, job.id, url=f"{str(request.base_url).rstrip('/')}{path}")


OPERATIONS: tuple[Operation, ...] = (create_image,)
