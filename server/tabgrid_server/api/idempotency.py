"""``Idempotency-Key``: a client that lost the answer to its order sends it again, for one job.

The header of draft-ietf-httpapi-idempotency-key-header, in the draft's quotes or, as Stripe and
most clients have it, without. Only what was accepted is kept: a refusal cost nothing, and may be
none the next time.
"""

from __future__ import annotations

import hashlib
import re

import msgspec
from msgspec import UNSET
from msgspec.structs import fields
from starlette.requests import Request

from ..errors import BadRequest, GridError
from ..store import Idempotency, Named

HEADER = "Idempotency-Key"
#: In the answer to a request that was sent before, as Stripe calls it.
REPLAYED = {"Idempotent-Replayed": "true"}

#: Room for a UUID, a hash or somebody's order number, and as many as Stripe takes, so that a key
#: of theirs is one of ours. It lies in the database for a day, with each job.
MAX_LENGTH = 255
#: ASCII that can be seen: proxies and clients do not agree on what other bytes are. No quote and
#: no backslash: bare and in the draft's quotes it is the same key. No comma: that is what two
#: headers of this name, which somebody joined, look like.
_KEY = rf"[!#-+\--\[\]-~]{{1,{MAX_LENGTH}}}"
PATTERN = f'^({_KEY}|"{_KEY}")$'
_matches = re.compile(PATTERN).fullmatch


class KeyUsedOtherwise(GridError):
    status, type, code = 422, "invalid_request_error", "idempotency_key_reused"
    param = HEADER

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"This {HEADER} was sent before with another request, which is {job_id}. Use it only "
            "to send the same request again; for another one make a new key."
        )


def idempotency_of(request: Request, body: msgspec.Struct) -> Idempotency | None:
    """What the client calls its request; None where it does not. Raises ``BadRequest``."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    if len(given) > 1 or not _matches(given[0]):
        raise BadRequest(
            f"{HEADER} is one key of 1 to {MAX_LENGTH} visible ASCII characters without quotes, "
            "backslashes, commas and spaces. A UUID is a good one.",
            HEADER,
            "invalid_idempotency_key",
        )
    return Idempotency(key=given[0].strip('"'), request=_fingerprint(body))


def same_or_refused(named: Named, idempotency: Idempotency) -> str:
    """The job that this request is already. Raises ``KeyUsedOtherwise``."""
    if named.request != idempotency.request:
        raise KeyUsedOtherwise(named.job_id)
    return named.job_id


def _fingerprint(body: msgspec.Struct) -> str:
    """SHA-256 of what is asked for. Neither the order of a client's JSON makes it another request,
    nor a field that it fills with what is meant without it."""
    said = {
        field.encode_name: value
        for field in fields(body)
        if (value := getattr(body, field.name)) != _default(field.default)
    }
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


def _default(value: object) -> object:
    """A value that no field has, where it must be given."""
    return UNSET if value is msgspec.NODEFAULT else value
