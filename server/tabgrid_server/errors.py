"""Why a request was not taken; ``api/errors.py`` turns each into a status and a sentence.

GridError
├── UnknownModel   404
├── TooManyJobs    429
├── QueueFull      503
├── NoNode         503
├── NoReference    503
├── Draining       503
├── Unauthorized   401
├── Forbidden      403
├── NotFound       404
│   └── NoSuchJob
├── BadRequest     400
└── RateLimited    429

Those of one room (``blobs``, ``chain``, a file of ``api``) are defined there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class GridError(Exception):
    """Base. ``retry_after`` in seconds goes into the header of that name."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal"
    retry_after: int | None = None
    param: str | None = None
    #: Whether official clients may send the request again by themselves.
    again: bool = True


class UnknownModel(GridError):
    status, type, code = 404, "invalid_request_error", "model_not_found"

    def __init__(self, model: str, offered: Sequence[str]) -> None:
        super().__init__(
            f"There is no model {model!r} on this grid. It offers: {', '.join(offered)}."
        )
        self.param = "model"


class TooManyJobs(GridError):
    status, type, code = 429, "rate_limit_error", "too_many_jobs"
    retry_after = 5

    def __init__(self, limit: int) -> None:
        super().__init__(f"This key has {limit} jobs waiting or running already; wait for some.")


class QueueFull(GridError):
    status, type, code = 503, "server_error", "queue_full"
    retry_after = 10

    def __init__(self, waiting: int) -> None:
        super().__init__(f"The grid is full: {waiting} jobs wait. Try again in 10 s.")


class NoNode(GridError):
    status, type, code = 503, "server_error", "no_node"
    retry_after = 5

    def __init__(self, model: str) -> None:
        super().__init__(
            f"No node that holds {model} is online now. Try again soon, or submit to /api/jobs, "
            "where jobs wait."
        )


class NoReference(GridError):
    status, type, code = 503, "server_error", "no_reference"
    retry_after = 30

    def __init__(self, model: str) -> None:
        super().__init__(
            f"None of the operator's references that hold {model} is online now, so no answer can "
            "be checked before it is delivered. Try again later, or without checked."
        )


class Draining(GridError):
    status, type, code = 503, "server_error", "draining"
    retry_after = 5

    def __init__(self) -> None:
        super().__init__("This coordinator is restarting. Try again in a few seconds.")


class Unauthorized(GridError):
    status, type, code = 401, "authentication_error", "invalid_api_key"


class Forbidden(GridError):
    status, type, code = 403, "permission_error", "forbidden"


class NotFound(GridError):
    status, type, code = 404, "invalid_request_error", "not_found"


class NoSuchJob(NotFound):
    def __init__(self) -> None:
        super().__init__("No job has this id. Ids begin with job_ and are case-sensitive.")


class BadRequest(GridError):
    status, type, code = 400, "invalid_request_error", "invalid_request"

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.reason = code


class RateLimited(GridError):
    status, type, code = 429, "rate_limit_error", "rate_limited"

    def __init__(self, what: str, retry_after: int) -> None:
        super().__init__(f"Too many {what} from your address; try again in {retry_after} s.")
        self.retry_after = retry_after
