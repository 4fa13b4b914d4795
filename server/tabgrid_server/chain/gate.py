"""Whether claims are paid right now: the breaker, and what the treasury can still pay.

Claims pause before money runs out, not when the chain refuses: those that are under way have
their share kept, and whoever comes later is told why before they sign anything.
"""

from __future__ import annotations

from collections.abc import Callable

from ..settings import Chain
from ..store import Store, breaker
from ..store import claims as stored
from ..store.breaker import Caps
from .explain import PAUSED, REVOKED
from .refusals import ChainUnavailable, ClaimsPaused
from .rpc import Rpc, RpcError
from .treasury import Treasury, TreasuryError

TRIPPED = (
    "Claims are paused: payouts reached their cap, and the operator has to look before they go "
    "on. What you earned stays claimable."
)
LOW = (
    "Claims are paused: the treasury is nearly empty, and the operator has to refill it. What "
    "you earned stays claimable."
)
#: How long an answer about the treasury is good enough for showing it, in seconds.
FRESH_S = 10.0


class Gate:
    """``check`` asks; ``paused`` is what it heard last, "" while claims are paid."""

    def __init__(
        self,
        store: Store,
        rpc: Rpc,
        treasury: Treasury,
        settings: Chain,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._rpc = rpc
        self._treasury = treasury
        self._settings = settings
        self._clock = clock
        self._asked_at = 0.0
        self.paused = ""

    @property
    def caps(self) -> Caps:
        return Caps(hour=self._settings.cap_hour, day=self._settings.cap_day)

    async def check(self, amount: int) -> None:
        """Whether ``amount`` more can be paid, beside all that is under way.

        Raises ``ClaimsPaused``, ``ChainUnavailable``.
        """
        why = await self._why(amount)
        if why:
            raise ClaimsPaused(why)

    async def look(self) -> None:
        """Bring ``paused`` up to date, if it is not fresh. Raises ``ChainUnavailable``."""
        if self._clock() - self._asked_at >= FRESH_S:
            self.paused = await self._why(0)
            self._asked_at = self._clock()

    async def tripped(self) -> bool:
        """Whether the breaker is open."""
        symbol = self._settings.symbol
        return await self._store.read(breaker.open_trip, symbol) is not None

    async def _why(self, amount: int) -> str:
        if await self.tripped():
            return TRIPPED
        try:
            status = await self._treasury.status(self._rpc)
        except RpcError as error:
            raise ChainUnavailable from error
        except TreasuryError:
            return LOW
        if status.allowance == 0:
            return REVOKED
        due = await self._store.read(stored.outstanding, self._settings.symbol)
        if status.payable - due - amount >= self._settings.pause_below:
            return ""
        return PAUSED if status.allowance <= status.balance else LOW
