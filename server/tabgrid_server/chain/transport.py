"""Requests to one or several RPCs: to the next where one fails, to all where money depends.

Stands where solana-py's HTTP provider stands, so whatever is asked through its client is
asked this way. Questions about finality go to all RPCs, and ``agreement`` says what they say
together; a transaction goes to all of them too, so that none can keep it back; everything else
to the healthiest, and on to the next if that fails.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog
from solana.exceptions import SolanaRpcException
from solana.rpc.async_http_provider import AsyncHTTPProvider, _parse_raw

from .agreement import MALFORMED, Agreed, Disagreement, Rule, majority, rule_for
from .batching import Batching

log = structlog.get_logger("tabgrid.rpc")

#: One of several has this long, in seconds: then there is time left for the next.
TRY_S = 3.0
#: How long the last is waited for once a majority has answered.
GRACE_S = 1.0
#: A failing RPC rests so long, twice as long the next time, … up to the other, unless it is
#: needed for a majority.
REST_S, REST_MAX_S = 2.0, 60.0
#: How long one that contradicted a majority is asked last, and between two lines of log on it.
DISTRUST_S, TELL_S = 600.0, 60.0
#: Slots, about a minute: whoever is so far behind gives blockhashes that are dead.
BEHIND = 150
#: JSON-RPC errors of an RPC that cannot answer now, as against those of a wrong question:
#: busy, behind, block not available, internal.
_UNWELL = frozenset({429, -32429, -32603, -32004, -32005, -32014, -32016})


class NoAnswer(Exception):
    """No RPC, or too few of them, gave a usable answer."""


def name_of(url: str) -> str:
    """The address without what may be a secret: user, password, path and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def urls_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """Of a list, or of a text with commas or spaces between the addresses."""
    texts = [given] if isinstance(given, str) else list(given)
    return tuple(url for text in texts for url in text.replace(",", " ").split())


class Endpoint:
    """One RPC and how it has behaved. Times are of a clock that never goes back."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        self.rests_until = 0.0
        self.distrusted_until = 0.0
        self.told_at = -TELL_S
        #: Newest slot that it spoke of.
        self.slot = 0

    def failed(self, now: float, rest: float) -> None:
        doubled = REST_S * 2.0 ** min(self.failures, 10)
        self.failures += 1
        self.rests_until = now + min(max(doubled, rest), REST_MAX_S)

    def worked(self) -> None:
        self.failures, self.rests_until = 0, 0.0


class Transport:
    """``base`` is the HTTP client that is used; ``timeout`` in seconds, of one try; ``clock``
    in seconds, never back."""

    def __init__(
        self,
        base: AsyncHTTPProvider,
        urls: Sequence[str],
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = base
        self._clock = clock
        self._quorum = majority(len(urls))
        each = timeout if len(urls) == 1 else min(timeout, TRY_S)
        self._endpoints = [Endpoint(name_of(url)) for url in urls]
        self._ways = {
            endpoint: self._way(endpoint, _at(base, url), each)
            for endpoint, url in zip(self._endpoints, urls, strict=True)
        }

    def _way(self, endpoint: Endpoint, provider: AsyncHTTPProvider, timeout: float) -> Batching:
        return Batching(
            provider,
            timeout,
            worked=lambda: self._note(endpoint, failed=False),
            failed=lambda error: self._note(endpoint, failed=True, rest=_retry_after(error)),
        )

    @property
    def name(self) -> str:
        return ", ".join(each.name for each in self._endpoints)

    async def make_request(self, body: Any, parser: Any) -> Any:
        """As solana-py's own does. Raises ``NoAnswer``, and what its parser raises."""
        return _parse_raw(await self._answer(body), parser)

    async def close(self) -> None:
        await asyncio.gather(*(way.close() for way in self._ways.values()))
        await self._base.close()

    async def _answer(self, body: Any) -> str:
        if len(self._endpoints) == 1:
            return await self._ask(self._endpoints[0], body)
        request = msgspec.json.decode(body.to_json())
        if request["method"] == "sendTransaction":
            return await self._send(body)
        rule = rule_for(request)
        if rule is None:
            return await self._first(body)
        return await self._together(body, rule)

    # --- ways to ask ---------------------------------------------------------------------

    async def _first(self, body: Any) -> str:
        """The answer of the healthiest that has one."""
        last = ""
        for endpoint in self._order():
            try:
                raw = await self._ask(endpoint, body)
            except NoAnswer:
                continue
            if not _unwell(_decode(raw)):
                return raw
            last = raw
            self._note(endpoint, failed=True)
        if last:
            return last
        raise NoAnswer(f"None of the RPCs answers: {self.name}.")

    async def _send(self, body: Any) -> str:
        """To all that are awake. Once one took it, it is under way."""
        order = self._order()
        raws = await self._ask_all(body, self._awake(order) or order, enough=1)
        told = [(raw, _decode(raw)) for _, raw in raws]
        taken = [raw for raw, answer in told if isinstance(answer, dict) and "result" in answer]
        if not raws:
            raise NoAnswer(f"None of the RPCs answers: {self.name}.")
        return (taken or [raw for _, raw in raws])[0]

    async def _together(self, body: Any, rule: Rule) -> str:
        order = self._order()
        awake = self._awake(order)
        asked = awake if len(awake) >= self._quorum else order
        raws = await self._ask_all(body, asked, enough=self._quorum)
        if len(raws) < self._quorum and len(asked) < len(order):
            raws += await self._ask_all(body, [e for e in order if e not in asked], enough=1)
        answers = [(endpoint, _decode(raw)) for endpoint, raw in raws]
        good = [(e, a["result"]) for e, a in answers if self._well_formed(e, a, rule)]
        if len(good) < self._quorum:
            refused = [raw for _, raw in raws if _refusal(_decode(raw))]
            if len(refused) >= self._quorum:
                return refused[0]
            raise NoAnswer(
                f"{self._quorum} of {len(order)} RPCs must say the same of what is final; "
                f"{len(good)} answered."
            )
        agreed = self._agree(rule, good)
        answer = {"jsonrpc": "2.0", "result": agreed.result, "id": 0}
        return msgspec.json.encode(answer).decode()

    def _well_formed(self, endpoint: Endpoint, answer: Any, rule: Rule) -> bool:
        if not isinstance(answer, dict) or "result" not in answer:
            return False
        try:
            rule([answer["result"]], 1)
        except MALFORMED:
            self._note(endpoint, failed=True)
            return False
        endpoint.slot = _slot_of(answer["result"]) or endpoint.slot
        return True

    def _agree(self, rule: Rule, good: Sequence[tuple[Endpoint, Any]]) -> Agreed:
        try:
            agreed = rule([result for _, result in good], self._quorum)
        except Disagreement as error:
            log.warning("the RPCs disagree", about=str(error), rpcs=[e.name for e, _ in good])
            raise NoAnswer(f"The RPCs do not agree about {error}: {self.name}.") from None
        for place in agreed.against:
            self._distrust(good[place][0])
        return agreed

    # --- one request ---------------------------------------------------------------------

    async def _ask_all(
        self, body: Any, endpoints: Sequence[Endpoint], enough: int
    ) -> list[tuple[Endpoint, str]]:
        """What they answer, in the order of ``endpoints``; ``GRACE_S`` after ``enough`` did,
        the others are no longer waited for."""
        tasks = {asyncio.create_task(self._ask(each, body)): each for each in endpoints}
        found: dict[Endpoint, str] = {}
        waiting, grace = set(tasks), None
        try:
            while waiting:
                done, waiting = await asyncio.wait(
                    waiting, timeout=grace, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                for task in done:
                    if task.exception() is None:
                        found[tasks[task]] = task.result()
                    elif not isinstance(task.exception(), NoAnswer):
                        await task  # a bug of ours: raise it
                usable = sum(not _unwell(_decode(raw)) for raw in found.values())
                grace = GRACE_S if usable >= enough else None
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        late = [tasks[task] for task in waiting]
        for endpoint in [*late, *(each for each, raw in found.items() if _unwell(_decode(raw)))]:
            self._note(endpoint, failed=True)
        return [(each, found[each]) for each in endpoints if each in found]

    async def _ask(self, endpoint: Endpoint, body: Any) -> str:
        try:
            return await self._ways[endpoint].ask(body.to_json())
        except (SolanaRpcException, TimeoutError, OSError):
            # Its text has the whole address, which may hold a key.
            raise NoAnswer(f"The RPC at {endpoint.name} cannot be reached.") from None

    # --- health --------------------------------------------------------------------------

    def _order(self) -> list[Endpoint]:
        """The healthiest first; of equals, as they were configured."""
        now = self._clock()
        newest = sorted((each.slot for each in self._endpoints), reverse=True)[self._quorum - 1]

        def unwell(each: Endpoint) -> tuple[bool, bool, bool, int]:
            return (
                each.rests_until > now,
                each.distrusted_until > now,
                each.slot < newest - BEHIND,
                each.failures,
            )

        return sorted(self._endpoints, key=unwell)

    def _awake(self, order: Sequence[Endpoint]) -> list[Endpoint]:
        now = self._clock()
        return [each for each in order if each.rests_until <= now]

    def _note(self, endpoint: Endpoint, *, failed: bool, rest: float = 0.0) -> None:
        if not failed:
            endpoint.worked()
            return
        if len(self._endpoints) > 1 and not endpoint.failures:
            log.warning("an RPC does not answer", rpc=endpoint.name)
        endpoint.failed(self._clock(), rest)

    def _distrust(self, endpoint: Endpoint) -> None:
        now = self._clock()
        endpoint.distrusted_until = now + DISTRUST_S
        if now - endpoint.told_at >= TELL_S:
            endpoint.told_at = now
            log.warning("an RPC contradicts the others", rpc=endpoint.name)


def _at(base: AsyncHTTPProvider, url: str) -> AsyncHTTPProvider:
    """The same client and connections, for another address."""
    provider = copy.copy(base)
    provider.endpoint_uri = type(base.endpoint_uri)(url)
    return provider


def _decode(raw: str) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _unwell(answer: Any) -> bool:
    """Whether it is no answer to the question: garbage, or "not now"."""
    if not isinstance(answer, dict):
        return True
    if "result" in answer:
        return False
    error = answer.get("error")
    return not isinstance(error, dict) or error.get("code") in _UNWELL or "message" not in error


def _refusal(answer: Any) -> bool:
    return not _unwell(answer) and "result" not in answer


def _slot_of(result: Any) -> int:
    try:
        return int(result["context"]["slot"])
    except (KeyError, TypeError, ValueError):
        return 0


def _retry_after(error: BaseException) -> float:
    """Seconds that a busy RPC asks for; 0 where it does not say."""
    response = getattr(error.__cause__, "response", None)
    try:
        return float(response.headers.get("retry-after", 0))  # type: ignore[union-attr]
    except (AttributeError, TypeError, ValueError):
        return 0.0
