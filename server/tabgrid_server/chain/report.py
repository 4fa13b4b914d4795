"""The treasury's state on one page: on chain, in the books, and what bounds it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec

from ..settings import Chain
from ..store import Store, breaker
from ..store import audit as stored_audit
from ..store import claims as stored
from .rpc import Rpc
from .treasury import Treasury


class TreasuryReport(msgspec.Struct, frozen=True):
    """Amounts in base units, except ``hot_lamports``; caps of 0 are none."""

    treasury: str
    owner: str
    delegate: str
    hot_lamports: int
    balance: int
    allowance: int
    under_way: int
    owed: int
    pause_below: int
    paid_hour: int
    cap_hour: int
    paid_day: int
    cap_day: int
    stopped_at: float | None
    stopped_why: str | None

    @property
    def left(self) -> int:
        """What can be paid beside the claims under way."""
        return min(self.balance, self.allowance) - self.under_way

    @property
    def pauses(self) -> str:
        """Why claims pause; "" where they do not."""
        if self.stopped_at is not None:
            at = datetime.fromtimestamp(self.stopped_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
            return f"the breaker tripped at {at}. {self.stopped_why}"
        if self.allowance == 0:
            return "the hot key is not approved"
        return f"less than {self.pause_below:,} are left" if self.left < self.pause_below else ""

    def lines(self, chain: Chain) -> str:
        """For a person: tokens with their symbol, base units beside them."""

        def money(units: int) -> str:
            whole, rest = divmod(abs(units), 10**chain.decimals)
            cents = f".{rest:0{chain.decimals}d}" if chain.decimals else ""
            return f"{'-' if units < 0 else ''}{whole:,}{cents} {chain.symbol}  ({units:,})"

        def cap(units: int) -> str:
            return money(units) if units else "none"

        rows = [
            ("treasury", self.treasury),
            ("owner", self.owner),
            ("delegate", f"{self.delegate}, {self.hot_lamports:,} lamports"),
            ("balance", money(self.balance)),
            ("allowance", money(self.allowance)),
            ("under way", money(self.under_way)),
            ("left", money(self.left)),
            ("owed in all", money(self.owed)),
            ("last hour", f"{money(self.paid_hour)}, cap {cap(self.cap_hour)}"),
            ("last day", f"{money(self.paid_day)}, cap {cap(self.cap_day)}"),
            ("claims", f"paused: {self.pauses}" if self.pauses else "are paid"),
        ]
        return "\n".join(f"{name:13}{value}" for name, value in rows)


async def report(store: Store, rpc: Rpc, treasury: Treasury, chain: Chain) -> TreasuryReport:
    """Raises ``RpcError``, ``TreasuryError``, ``StoreError``."""
    now, token = time.time(), chain.symbol
    status = await treasury.status(rpc)
    trip = await store.read(breaker.open_trip, token)
    return TreasuryReport(
        treasury=str(treasury.account),
        owner=str(status.owner),
        delegate=str(treasury.hot.pubkey()),
        hot_lamports=await rpc.balance(treasury.hot.pubkey()),
        balance=status.balance,
        allowance=status.allowance,
        under_way=await store.read(stored.outstanding, token),
        owed=(await store.read(stored_audit.owed)).get(token, 0),
        pause_below=chain.pause_below,
        paid_hour=await store.read(breaker.paid_since, token, now - breaker.HOUR_S),
        cap_hour=chain.cap_hour,
        paid_day=await store.read(breaker.paid_since, token, now - breaker.DAY_S),
        cap_day=chain.cap_day,
        stopped_at=trip.tripped_at if trip else None,
        stopped_why=trip.reason if trip else None,
    )
