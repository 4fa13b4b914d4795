"""Deposits as people ask for them: a reference to pay with, a transaction to sign, what came.

``watching`` sees what is paid and books it; nothing here moves money, save that it passes on
what a wallet signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from solders.pubkey import Pubkey

from tabgrid_wire.ids import RANDOM, new_id

from ..api.schemas.deposits import Arrival, Deposit, Deposits, DepositState, Refundable
from ..settings import Chain
from ..store import Store
from ..store import deposits as stored
from ..store.deposits import Booked
from .deposits import Request, Till
from .refusals import ChainUnavailable, DepositRefused, DepositUnknown
from .rpc import Rpc, RpcError, RpcRefused
from .solana_pay import PaymentRefused, Price, check_payment, has_link, link, payment
from .watching import Sign, Watcher

log = structlog.get_logger("tabgrid.deposits")

#: Deposits and payments in one list; a page shows the newest.
LISTED = 50
#: Bytes of a reference: it looks like an account, and nobody has its key.
REFERENCE = 32


class Depositing:
    """Raises ``ChainUnavailable`` wherever no RPC answers."""

    def __init__(
        self,
        store: Store,
        rpc: Rpc,
        till: Till,
        settings: Chain,
        watcher: Watcher,
        clock: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._rpc = rpc
        self._till = till
        self._settings = settings
        self._watcher = watcher
        self._clock = clock
        self._random = random

    async def ask(self, owner: str, amount: int | None, wallet: str | None) -> Deposit:
        """A new reference for ``owner`` to pay with."""
        now = self._clock()
        request = Request(
            id=new_id("dep", int(now * 1000), self._random(RANDOM)),
            owner=owner,
            token=self._settings.symbol,
            reference=str(Pubkey.from_bytes(self._random(REFERENCE))),
            amount=amount,
            wallet=wallet,
            created_at=now,
        )
        await self._store.write(stored.ask, request)
        log.info("deposit asked for", request=request.id, amount=amount)
        return self._view(request, [])

    async def get(self, id: str, owner: str) -> Deposit:
        """Raises ``DepositUnknown``."""
        request = await self._request(id, owner)
        return self._view(request, await self._store.read(stored.of_requests, [id]))

    async def of_owner(self, owner: str) -> Deposits:
        """Newest first, with what can go back."""
        token = self._settings.symbol
        requests = await self._store.read(stored.requests_of, owner, token, LISTED)
        came = await self._store.read(stored.of_requests, [each.id for each in requests])
        arrived = await self._store.read(stored.of_owner, owner, token, LISTED)
        shares = await self._store.read(stored.shares, owner, token)
        return Deposits(
            deposits=tuple(
                self._view(request, [each for each in came if each.request == request.id])
                for request in requests
            ),
            arrivals=tuple(_arrival(each) for each in arrived),
            refundable=tuple(Refundable(each.wallet, each.amount) for each in shares),
            token=token,
        )

    async def transaction(self, id: str, owner: str, wallet: str, amount: int | None) -> bytes:
        """What the connected ``wallet`` is asked to sign to pay ``amount``, or what was asked.

        Raises ``DepositUnknown``, ``DepositRefused``.
        """
        request = await self._request(id, owner)
        units = amount or request.amount
        if units is None:
            raise DepositRefused("How much? This deposit was made without an amount: name one.")
        price = Price(self._settings.decimals, self._settings.compute_unit_price)
        try:
            blockhash = (await self._rpc.blockhash()).hash
        except RpcError as error:
            raise ChainUnavailable from error
        return payment(self._till, wallet, request.reference, units, price, blockhash)

    async def send(self, id: str, owner: str, signed: bytes) -> Deposit:
        """Pass on what the wallet signed; the same bytes again are free and safe.

        Raises ``DepositUnknown``, ``DepositRefused``.
        """
        request = await self._request(id, owner)
        try:
            checked = check_payment(signed, request.reference, self._till)
        except PaymentRefused as error:
            raise DepositRefused(str(error)) from error
        try:
            problem = await self._rpc.simulate(checked)
            if problem is None or "AlreadyProcessed" in problem:
                await self._rpc.send(bytes(checked))
        except RpcRefused as error:
            raise DepositRefused(f"The network refused the transaction: {error}.") from error
        except RpcError as error:
            raise ChainUnavailable from error
        if problem is not None and "AlreadyProcessed" not in problem:
            raise DepositRefused(_explain(problem, self._settings.symbol))
        self._watcher.sign(request)
        self._watcher.wake()
        return await self.get(id, owner)

    async def _request(self, id: str, owner: str) -> Request:
        request = await self._store.read(stored.request, id)
        if request is None or request.owner != owner:
            raise DepositUnknown(f"This key has no deposit {id}.")
        return request

    def _view(self, request: Request, came: Sequence[Booked]) -> Deposit:
        received = sum(each.amount for each in came)
        sign = None if came else self._watcher.sign(request)
        url = None
        if has_link(self._till):
            decimals = self._settings.decimals
            url = link(self._till, request.reference, request.amount, decimals)
        return Deposit(
            id=request.id,
            state=_state(request, received, sign),
            amount=request.amount,
            received=received,
            token=request.token,
            reference=request.reference,
            url=url,
            account=self._till.account,
            wallet=request.wallet,
            arrivals=tuple(_arrival(each) for each in came),
            note=_note(sign),
            created_at=request.created_at,
        )


def _state(request: Request, received: int, sign: Sign | None) -> DepositState:
    if received:
        return "partial" if request.amount and received < request.amount else "paid"
    return "arriving" if sign is not None and not sign.why else "waiting"


def _note(sign: Sign | None) -> str | None:
    """Said of the transaction, not of the user: anybody can name a reference."""
    if sign is None or not sign.why:
        return None
    return f"Transaction {sign.txid} has this reference but was not credited: {sign.why}."


def _arrival(booked: Booked) -> Arrival:
    return Arrival(
        signature=booked.txid,
        amount=booked.amount,
        payer=booked.payer,
        refund_to=booked.refund_to,
        at=booked.at,
    )


def _explain(problem: str, symbol: str) -> str:
    if "BlockhashNotFound" in problem:
        return "The signature came too late. Pay again; nothing was sent."
    if "InsufficientFundsForFee" in problem or "AccountNotFound" in problem:
        return "The wallet has no SOL for the network's fee. Nothing was sent."
    if '"Custom":1' in problem or "InvalidAccountData" in problem or "IncorrectProgram" in problem:
        return f"The wallet does not have that much {symbol}. Nothing was sent."
    return f"The network would refuse the transaction: {problem}. Nothing was sent."
