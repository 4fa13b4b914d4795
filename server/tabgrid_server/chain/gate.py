"""Whether claims are paid right now: the breaker, and what the treasury can still pay.

Claims pause before money runs out, not when the chain refuses: those that are under way have
their share kept, and whoever comes later is told why before they sign anything.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..settings import Chain
from ..store import Store, breaker
from ..store import claims as stored
from ..store.breaker import Caps
from .explain import PAUSED, REVOKED
from .refusals import ChainUnavailable, ClaimsPaused
from .rpc import Rpc, RpcError
from .sharing import Shared
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


class Standing(msgspec.Struct):
    """What is there to pay with. ``why``: nothing is paid, whatever the amount."""

    why: str = ""
    #: Base units that could be paid beside all that is under way, and what bounds them.
    left: int = 0
    bound: str = ""


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
        #: What is left is the same for all who ask at once; each takes its amount from it.
        self.standing = Shared(self._ask)
        self.paused = ""

    @property
    def caps(self) -> Caps:
        return Caps(hour=self._settings.cap_hour, day=self._settings.cap_day)

    def admit(self, standing: Standing, amount: int) -> None:
        """Whether ``amount`` more can be paid, beside what others of the same look take.

        Raises ``ClaimsPaused``.
        """
        why = self._why(standing, amount)
        if why:
            raise ClaimsPaused(why)
        standing.left -= amount

    async def look(self) -> None:
        """Bring ``paused`` up to date, if it is not fresh. Raises ``ChainUnavailable``."""
        if self._clock() - self._asked_at >= FRESH_S:
            self.paused = self._why(await self.standing(), 0)
            self._asked_at = self._clock()

    async def tripped(self) -> bool:
        """Whether the breaker is open."""
        symbol = self._settings.symbol
        return await self._store.read(breaker.open_trip, symbol) is not None

    def _why(self, standing: Standing, amount: int) -> str:
        enough = standing.left - amount >= self._settings.pause_below
        return standing.why or ("" if enough else standing.bound)

    async def _ask(self) -> Standing:
        tripped, due = await self._store.read(stored.standing, self._settings.symbol)
        if tripped:
            return Standing(TRIPPED)
        try:
            status = await self._treasury.status(self._rpc)
        except RpcError as error:
            raise ChainUnavailable from error
        except TreasuryError:
            return Standing(LOW)
        if status.allowance == 0:
            return Standing(REVOKED)
        bound = PAUSED if status.allowance <= status.balance else LOW
        return Standing(left=status.payable - due, bound=bound)
