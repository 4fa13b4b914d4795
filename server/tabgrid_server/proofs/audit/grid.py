"""A grid's public API, as an auditor reads it: pages that may be huge, late or nonsense."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from ...api.schemas.attestation import Attestation, Balance, Balances
from ...api.schemas.checks import Check, Checks, Draws, GivenUp, GivenUpChecks
from ...api.schemas.epochs import Leaf, Receipts
from ...api.schemas.epochs import Leaves as Page
from ...api.schemas.receipts import Corrections
from ..corrections import Head
from ..epoch import Earned
from .evidence import Leaves, Told

T = TypeVar("T")

#: A page of a thousand receipts takes well under a second.
TIMEOUT_S = 60.0
#: A page of 1,000 receipts is about 1 MB; more is not one of these.
MOST_BYTES = 32 * 1024 * 1024
_HASH = re.compile("[0-9a-f]{64}")


class GridError(Exception):
    """The grid did not answer, or not in the words of its API."""


class GridReader:
    """The public API of the grid at ``url``. Use as an async context manager."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(base_url=self.url, timeout=TIMEOUT_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def attestation(self) -> Attestation:
        return await self._get("/api/attestation", Attestation)

    async def balances(self, signature: str) -> list[Balance]:
        """What the statement with this signature commits to."""
        found: list[Balance] = []
        start: int | None = 0
        while start is not None:
            path = "/api/attestation/balances"
            page = await self._get(path, Balances, signature=signature, start=start)
            found += page.balances
            start = page.next if page.balances else None
        return found

    async def leaves(self, number: int) -> Leaves:
        """An epoch's leaves; none where the grid knows of no such epoch."""
        receipts: list[Told] = []
        earned: list[Earned] = []
        heads: list[Head] = []
        start: int | None = 0
        while start is not None:
            path = f"/api/epochs/{number}/leaves"
            page = await self._get(path, Page, missing=Page(number, 0, (), None), start=start)
            for leaf in page.leaves:
                if leaf.kind == "receipt":
                    receipts.append(_told(leaf))
                elif leaf.kind == "earned":
                    earned.append(Earned(leaf.wallet or "", leaf.token or "", leaf.earned or 0))
                else:
                    heads.append(_head(leaf))
            start = page.next if page.leaves else None
        if len(heads) > 1:
            raise GridError(f"{self.url} tells {len(heads)} leaves of corrections in one epoch.")
        return Leaves(receipts, earned, heads[0] if heads else None)

    async def receipts(self, after: int, up_to: int) -> list[Told]:
        """Receipts with numbers above ``after``, up to ``up_to``."""
        found: list[Told] = []
        while after < up_to:
            page = await self._get("/api/receipts", Receipts, after=after)
            told = [_told(leaf) for leaf in page.receipts]
            found += [each for each in told if after < each.seq <= up_to]
            if not told or told[-1].seq <= after:
                break
            after = told[-1].seq
        return found

    async def draws(self) -> Draws:
        return await self._get("/api/draws", Draws)

    async def checks(self) -> list[Check]:
        """Everything that references found, of all jobs."""
        found: list[Check] = []
        while True:
            after = found[-1].id if found else ""
            page = (await self._get("/api/checks", Checks, after=after)).checks
            # A grid that repeats itself would keep us for ever.
            new = [each for each in page if each.id > after]
            found += new
            if not new:
                return found

    async def given_up(self) -> list[GivenUp]:
        """Checks that nobody made, of all jobs; none where the grid tells of none."""
        found: list[GivenUp] = []
        path, nothing = "/api/checks/given-up", GivenUpChecks(())
        while True:
            after = found[-1].id if found else ""
            page = await self._get(path, GivenUpChecks, missing=nothing, after=after)
            new = [each for each in page.given_up if each.id > after]
            found += new
            if not new:
                return found

    async def corrections(self, up_to: int) -> list[bytes]:
        """The first ``up_to`` corrections' texts; fewer where the grid does not tell them."""
        found: list[bytes] = []
        while len(found) < up_to:
            page = await self._get("/api/corrections", Corrections, after=len(found))
            found += [each.correction.encode() for each in page.corrections]
            if not page.corrections:
                break
        return found[:up_to]

    async def _get(self, path: str, type: type[T], missing: T | None = None, **query: Any) -> T:
        """Raises ``GridError``."""
        try:
            async with self._client.stream("GET", path, params=query) as answer:
                body = await _body(answer)
        except httpx.HTTPError as error:
            raise GridError(f"{self.url} does not answer: {error or 'no reason given'}.") from error
        except httpx.InvalidURL as error:
            raise GridError(f"{self.url} is no address: {error}.") from error
        if answer.status_code == 404 and missing is not None:
            return missing
        if answer.status_code != 200:
            raise GridError(f"{self.url}{path} answers {answer.status_code}: {body[:300]!r}")
        try:
            return msgspec.json.decode(body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise GridError(f"{self.url}{path} is not what its API says: {error}.") from error


async def _body(answer: httpx.Response) -> bytes:
    body = b""
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > MOST_BYTES:
            raise GridError(f"{answer.url} answers with more than {MOST_BYTES:,} bytes.")
    return body


def _told(leaf: Leaf) -> Told:
    return Told(leaf.seq or 0, (leaf.receipt or "").encode())


def _head(leaf: Leaf) -> Head:
    """Raises ``GridError`` for what can be no leaf of corrections."""
    count, hash = leaf.corrections, leaf.corrected or ""
    if count is None or not 0 <= count < 2**53 or not _HASH.fullmatch(hash):
        raise GridError(f"{count} corrections up to {hash[:80]!r} are no leaf of an epoch.")
    return Head(count, bytes.fromhex(hash))
