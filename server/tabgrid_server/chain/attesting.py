"""The grid's signed statements: one of ``chain.statement_s`` ago is given again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from ..api.schemas.attestation import Attestation, Balance, Balances
from ..proofs import statement as statements
from ..proofs.epoch import GENESIS
from ..proofs.statement import Statement
from ..settings import Settings
from ..store import Store
from ..store import balances as stored_balances
from ..store import epochs as stored_epochs
from ..store.epochs import Epoch
from .refusals import ChainUnavailable
from .rpc import Rpc, RpcError
from .treasury import Treasury

#: Statements whose balances can still be fetched, for auditors who are slow.
KEPT = 8


class _Made(msgspec.Struct, frozen=True):
    at: float
    attestation: Attestation
    balances: list[Balance]


class Attesting:
    """Statements about the books of one grid."""

    def __init__(
        self,
        store: Store,
        rpc: Rpc,
        treasury: Treasury,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._rpc = rpc
        self._treasury = treasury
        self._settings = settings
        self._clock = clock
        self._making = asyncio.Lock()
        #: By the signature; the newest last.
        self._made: dict[str, _Made] = {}

    async def statement(self) -> Attestation:
        """Raises ``ChainUnavailable``, ``SignerUnavailable``."""
        async with self._making:
            newest = next(reversed(self._made.values()), None)
            keep_s = self._settings.chain.statement_s
            if newest is None or self._clock() - newest.at >= keep_s:
                newest = await self._make()
                self._made[newest.attestation.signature] = newest
                while len(self._made) > KEPT:
                    del self._made[next(iter(self._made))]
            return newest.attestation

    def balances(self, signature: str, start: int, limit: int) -> Balances | None:
        """What the statement with this signature commits to; None if it is kept no more."""
        made = self._made.get(signature)
        if made is None:
            return None
        found = made.balances[start : start + limit]
        more = start + limit < len(made.balances)
        return Balances(tuple(found), start + limit if more else None)

    async def _make(self) -> _Made:
        chain, treasury, at = self._settings.chain, self._treasury, self._clock()
        try:
            genesis = await self._rpc.genesis()
            # Asked before the books are read: what was final then is in them.
            slot = (await self._rpc.height()).slot
        except RpcError as error:
            raise ChainUnavailable from error
        found = await self._store.read(stored_balances.snapshot, chain.symbol)
        signers = await self._store.read(stored_epochs.signers)
        final = await self._final()
        statement = Statement(
            v=statements.VERSION,
            grid=self._settings.url,
            genesis=genesis,
            token=chain.symbol,
            decimals=chain.decimals,
            mint=str(treasury.mint),
            treasury=str(treasury.account),
            keys=tuple(sorted({str(treasury.hot.pubkey()), *signers})),
            at=at,
            slot=slot,
            seq=found.seq,
            owed=found.owed,
            users=found.users,
            paid=found.paid,
            wallets=len(found.balances),
            balances=await asyncio.to_thread(statements.balances_top, found.balances),
            epoch=final.number if final else 0,
            root=final.root if final else GENESIS.hex(),
            corrections=found.corrections.count,
            corrected=found.corrections.hash.hex(),
        )
        text = statements.text_of(statement)
        signature = await treasury.hot.sign(statements.to_sign(text))
        told = Attestation(text.decode(), str(signature), str(treasury.hot.pubkey()))
        return _Made(at, told, found.balances)

    async def _final(self) -> Epoch | None:
        newest = await self._store.read(stored_epochs.page, None, 2)
        return next((each for each in newest if each.final_at is not None), None)
