"""``/v1``: the endpoints that clients of OpenAI already know, unchanged for them."""

from __future__ import annotations

import base64
from array import array
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from tabgrid_models.connectors.base import InvalidInput
from tabgrid_models.connectors.embeddings import EmbeddingsInput, EmbeddingsOutput

from ..errors import BadRequest, NotFound
from ..services import services
from .operations import Operation, operation
from .schemas.base import Request as Body
from .schemas.base import Response as Answer
from .waiting import output_of

_encode = msgspec.json.Encoder().encode

#: A list of numbers is a list of tokens; the type admits it to refuse it with a reason.
TextOrTokens = str | list[int] | int


class EmbeddingsRequest(Body, frozen=True):
    model: Annotated[str, Meta(min_length=1, max_length=64)]
    #: One text or up to 256. Token lists are refused: a model's tokens are its own.
    input: str | list[TextOrTokens]
    encoding_format: Literal["float", "base64"] = "float"
    #: Accepted only if it is what the model has: cutting vectors of a model that was not
    #: trained for it would give wrong neighbours.
    dimensions: Annotated[int, Meta(ge=1, le=8192)] | None = None
    #: Accepted and not kept.
    user: Annotated[str, Meta(max_length=256)] | None = None
    #: Beyond OpenAI. Whether the answer is held until one of the operator's references agrees.
    checked: bool = False


class Embedding(Answer, frozen=True):
    index: int
    #: Numbers, or base64 of little-endian float32.
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingsUsage(Answer, frozen=True, omit_defaults=True):
    prompt_tokens: int
    total_tokens: int
    #: How many texts were longer than the model reads, if any.
    truncated_texts: int = 0


class EmbeddingsResponse(Answer, frozen=True):
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage
    object: Literal["list"] = "list"


class Model(Answer, frozen=True):
    id: str
    created: int
    owned_by: str
    object: Literal["model"] = "model"


class Models(Answer, frozen=True):
    data: list[Model]
    object: Literal["list"] = "list"


#: Models have no date of their own; clients want a number that stays the same.
_CREATED = 1_761_955_200


@operation(
    "POST",
    "/v1/embeddings",
    tag="OpenAI",
    summary="Turn texts into vectors",
    body=EmbeddingsRequest,
    returns=EmbeddingsResponse,
    auth="key",
    errors=(402, 404, 429, 502, 503, 504),
)
async def create_embedding(request: Request, body: EmbeddingsRequest) -> Response:
    at = services(request)
    caller = await at.keys.required(request)
    offer = at.coordinator.offer_of(body.model)
    if offer.manifest.connector != "embeddings":
        raise BadRequest(f"Model {body.model!r} does not make embeddings.", "model")
    _check_dimensions(body.dimensions, offer.manifest.config["dimensions"])
    try:
        priced = await offer.price_in_time(EmbeddingsInput(_texts(body.input)))
    except InvalidInput as error:
        raise BadRequest(str(error), "input") from error
    at.coordinator.require_node(offer)
    job = await at.coordinator.submit(caller, offer, priced, checked=body.checked, interactive=True)
    encoded = await output_of(request, at.coordinator, job)
    output = msgspec.msgpack.decode(encoded, type=EmbeddingsOutput)
    usage = msgspec.convert(priced.usage, EmbeddingsUsage)
    answer = EmbeddingsResponse(_vectors(output, body.encoding_format), body.model, usage)
    headers = {"X-Tabgrid-Job": job.id}
    return Response(_encode(answer), headers=headers, media_type="application/json")


@operation("GET", "/v1/models", tag="OpenAI", summary="List the models", returns=Models)
async def list_models(request: Request) -> Models:
    offers = services(request).coordinator.offers.all
    return Models([_model(offer.manifest.id) for offer in offers])


@operation(
    "GET",
    "/v1/models/{model}",
    tag="OpenAI",
    summary="One model",
    returns=Model,
    errors=(404,),
)
async def retrieve_model(request: Request) -> Model:
    name = request.path_params["model"]
    if services(request).coordinator.offers.for_model(name) is None:
        raise NotFound(f"There is no model {name!r} on this grid.")
    return _model(name)


def _model(id: str) -> Model:
    return Model(id, _CREATED, "tabgrid")


def _texts(given: str | list[Any]) -> tuple[str, ...]:
    texts = (given,) if isinstance(given, str) else tuple(given)
    if any(not isinstance(text, str) for text in texts):
        raise BadRequest(
            "Token lists are not accepted: tokens of one model mean nothing to another. "
            "Send the text itself.",
            "input",
        )
    if any(not text for text in texts):
        raise BadRequest("An empty text has no meaning to embed; leave it out.", "input")
    return texts


def _check_dimensions(asked: int | None, has: int) -> None:
    if asked is not None and asked != has:
        raise BadRequest(
            f"This model makes {has} dimensions; it was not trained to be cut to {asked}.",
            "dimensions",
        )


def _vectors(output: EmbeddingsOutput, encoding: str) -> list[Embedding]:
    width = 4 * output.dims
    rows = [
        output.embeddings[start : start + width]
        for start in range(0, len(output.embeddings), width)
    ]
    if encoding == "base64":
        return [Embedding(i, base64.b64encode(row).decode()) for i, row in enumerate(rows)]
    return [Embedding(i, array("f", row).tolist()) for i, row in enumerate(rows)]


OPERATIONS: tuple[Operation, ...] = (create_embedding, list_models, retrieve_model)
