"""What every path answers when something went wrong."""

from __future__ import annotations

from .base import Response


class ErrorDetail(Response, frozen=True):
    message: str
    type: str
    code: str | None = None
    param: str | None = None


class ErrorBody(Response, frozen=True):
    """OpenAI's error object, used on every path so that one handler serves all clients."""

    error: ErrorDetail
