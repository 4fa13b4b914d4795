"""The chain as the application has it: opened in the background, so that jobs never wait
for an RPC that is down; claims are refused with a reason until it answers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from ..api.schemas.transactions import OnChain
from ..errors import GridError
from ..lasting import kept
from ..settings import Settings
from ..store import Store
from .attesting import Attesting
from .claims import Claim
from .depositing import Depositing
from .deposits import Till
from .epochs import Epochs
from .keys import KeyFileError
from .refusals import ChainUnavailable, ClaimsPaused, NoDeposits, SignerUnavailable
from .rpc import Rpc, RpcError
from .service import ClaimService
from .till import open_till
from .treasury import Treasury, TreasuryError, open_treasury
from .watching import Watcher

log = structlog.get_logger("tabgrid.payouts")

#: An RPC that comes back is noticed within this.
RETRY_S = 2.0


class NoChain(GridError):
    status, type, code = 503, "server_error", "no_chain"


#: Wallets remembered for their welcome while the chain does not answer: a demo has a few, and
#: whoever is not among them is welcomed at the next sign-in.
EARLY = 1_000


class Payouts:
    """Opens the treasury and follows claims for as long as the application lives."""

    def __init__(
        self, settings: Settings, store: Store, paid: Callable[[int], None] = lambda amount: None
    ) -> None:
        """``paid`` hears the amount of every claim that is final on chain."""
        self._paid = paid
        self._settings = settings
        self._store = store
        self._service: ClaimService | None = None
        #: Why there is none, where a person has to mend that.
        self._refused = ""
        self._epochs: Epochs | None = None
        self._attesting: Attesting | None = None
        self._deposits: Depositing | None = None
        self._rpc: Rpc | None = None
        #: Wallets that signed in before the chain answered.
        self._early: set[str] = set()
        #: Address of the token's mint, "" until it is known.
        self.mint = settings.chain.mint

    @property
    def service(self) -> ClaimService:
        """Raises ``NoChain``, ``ChainUnavailable``."""
        if not self._settings.chain.rpc:
            raise NoChain("This grid has no chain configured yet; what you earn stays booked.")
        if self._refused:
            raise ClaimsPaused(self._refused)
        if self._service is None:
            raise ChainUnavailable
        return self._service

    @property
    def deposits(self) -> Depositing:
        """Raises ``NoDeposits``, ``ChainUnavailable``."""
        if not self._settings.chain.rpc:
            raise NoDeposits("This grid has no chain configured: ask its operator for credit.")
        if self._deposits is None:
            raise ChainUnavailable
        return self._deposits

    @property
    def attesting(self) -> Attesting:
        """Raises ``NoChain``, ``ChainUnavailable``."""
        if not self._settings.chain.rpc:
            raise NoChain("This grid has no chain configured: it pays nothing and attests nothing.")
        if self._attesting is None:
            raise ChainUnavailable
        return self._attesting

    @property
    def paused(self) -> str:
        """Why no claim is paid right now, for people; "" while claims are paid, or unknown."""
        return self._service.paused if self._service is not None else self._refused

    @property
    def epochs_problem(self) -> str:
        """Why no receipts are published, for people; "" while they are, or unknown."""
        return self._epochs.problem if self._epochs is not None else ""

    def _claim_changed(self, claim: Claim) -> None:
        if claim.state == "finalized" and claim.owner is None:
            self._paid(claim.sent)

    async def on_chain(self, txid: str) -> OnChain | None:
        """What the chain says of a transaction. Raises ``NoChain``, ``ChainUnavailable``."""
        if not self._settings.chain.rpc:
            raise NoChain("This grid has no chain configured.")
        if self._rpc is None:
            raise ChainUnavailable
        try:
            return await self._rpc.transaction(txid, self.mint)
        except RpcError as error:
            raise ChainUnavailable from error

    async def welcome(self, wallet: str) -> None:
        """Do for a new wallet what the local chain's faucet does; never fails.

        Who signs in before the chain answers is welcomed once it does.
        """
        if self._service is not None:
            await self._service.welcome(wallet)
        elif len(self._early) < EARLY:
            self._early.add(wallet)

    async def run(self) -> None:
        """Open the treasury, trying until an RPC answers, and follow claims from then on."""
        chain = self._settings.chain
        if not chain.rpc:
            return
        async with Rpc(chain.rpc) as rpc:
            treasury, till = await self._open(rpc)
            self.mint, self._rpc = str(treasury.mint), rpc
            self._service = ClaimService(
                self._store, rpc, treasury, chain, changed=self._claim_changed
            )
            self._attesting = Attesting(self._store, rpc, treasury, self._settings)
            watcher = Watcher(self._store, rpc, till, chain.symbol, time.time)
            self._deposits = Depositing(
                self._store, rpc, till, chain, watcher, time.time, os.urandom
            )
            self._epochs = Epochs(self._store, rpc, treasury, chain, time.time)
            while self._early:
                await self._service.welcome(self._early.pop())
            log.info("claims are open", treasury=str(treasury.account), mint=self.mint)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(kept("claims", self._service.run))
                tasks.create_task(kept("epochs", self._epochs.run))
                tasks.create_task(kept("deposits", watcher.run))

    async def _open(self, rpc: Rpc) -> tuple[Treasury, Till]:
        """The treasury, once it can be used, and where deposits go."""
        while True:
            try:
                treasury = await open_treasury(rpc, self._settings.chain, self._settings.data)
                till = await open_till(rpc, treasury)
                self._refused = ""
                return treasury, till
            except RpcError as error:
                log.warning("chain not reachable; trying again", why=str(error))
            except SignerUnavailable as error:
                log.warning("the hot key cannot sign; trying again", why=error.why)
            except (TreasuryError, KeyFileError) as error:
                if self._refused != _NOT_USABLE:  # once is enough: a person has to mend it
                    log.error("treasury not usable; claims are off", why=str(error))
                self._refused = _NOT_USABLE
            await asyncio.sleep(RETRY_S)


async def check(settings: Settings) -> None:
    """Whether the treasury that ``settings`` name can be used, as far as the chain answers.

    Raises ``TreasuryError``, ``KeyFileError``.
    """
    chain = settings.chain
    if not chain.rpc or not chain.mint:
        return  # there is nothing yet, or the local chain's own, which is made on the way
    async with Rpc(chain.rpc) as rpc:
        # Whoever does not answer now is asked again, and again, once the coordinator runs.
        with suppress(RpcError, SignerUnavailable):
            await open_treasury(rpc, chain, settings.data)


_NOT_USABLE = (
    "Claims are off: the grid's treasury is not set up rightly, and its operator has been told "
    "why. What you earned stays claimable."
)
