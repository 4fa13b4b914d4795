"""What a request for a page asks: which job, which wallet, from where on."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..api.schemas.jobs import JobRow
from ..errors import NoSuchJob
from .views import Views

_ADDRESS = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")
_JOB = re.compile(r"job_[0-9A-HJKMNP-TV-Z]{26}")


def views_of(request: Request) -> Views:
    views: Views = request.app.state.views
    return views


def origin(request: Request) -> str:
    """As the reader reached us, for examples that can be pasted."""
    return str(request.base_url).rstrip("/")


async def job_of(request: Request) -> JobRow:
    id = request.path_params["id"]
    row = await views_of(request).job(id) if is_job(id) else None
    if row is None:
        raise HTTPException(404, str(NoSuchJob()))
    return row


def address_of(request: Request) -> str:
    address: str = request.path_params["address"]
    if not _ADDRESS.fullmatch(address):
        raise HTTPException(404, "This is not a Solana address: those are 32-44 base58 characters.")
    return address


def is_job(id: str | None) -> bool:
    return id is not None and _JOB.fullmatch(id) is not None


def number_in(text: str, digits: int) -> int | None:
    """None where it is no number, or one that the column behind it cannot hold."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits else None
