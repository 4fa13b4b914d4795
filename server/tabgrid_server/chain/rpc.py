"""The chain as this server asks it: few calls, plain answers, two kinds of failure.

A thin boundary over solana-py. Its own ways to fail are many (transport errors, errors that
parse to a bare integer, Rust panics); past this file there are ``RpcUnavailable`` (ask again
later) and ``RpcRefused`` (the RPC understood, and says no). There is no "confirm": solana-py's
returns normally for transactions that failed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized
from solana.rpc.core import RPCException
from solana.rpc.models import TxOpts
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionConfirmationStatus as Level
from solders.transaction_status import TransactionErrorInstructionError

from ..api.schemas.transactions import OnChain
from . import reading
from .claims import Status
from .deposits import Seen
from .panics import foreign, is_foreign
from .tokens import Mint, TokenAccount, read_mint, token_account
from .transport import NoAnswer, Transport, urls_of

T = TypeVar("T")

#: A healthy RPC answers in well under a second; a person waits behind some of these calls.
TIMEOUT_S = 10.0
#: The RPC's own limits.
STATUSES, ACCOUNTS, SIGNATURES = 256, 100, 1_000
#: Pages of an address's history: more than anybody would fill for the fees of it.
PAGES = 10
#: What solders calls the one number that an error carries.
_FIELDS = ("code", "index", "account_index")


class RpcError(Exception):
    """Base of both."""


class RpcUnavailable(RpcError):
    """No usable answer: unreachable, slow, overloaded, or garbage. Nothing is known."""


class RpcRefused(RpcError):
    """The RPC said no; the text is its reason."""


class Blockhash(msgspec.Struct, frozen=True):
    """In base58, with the last block height at which a transaction may use it."""

    hash: str
    last_valid_height: int


class Height(msgspec.Struct, frozen=True):
    """The finalized block height, and the slot of that block."""

    height: int
    slot: int


class Statuses(msgspec.Struct, frozen=True):
    """Of transactions, in the order asked, as a node at ``slot`` knows them."""

    slot: int
    values: list[Status | None]


class Lamports(msgspec.Struct, frozen=True):
    """Of accounts, in the order asked, in the finalized block ``slot``; 0 where none is."""

    slot: int
    values: list[int]


class Named(msgspec.Struct, frozen=True):
    """A transaction that names an address; final unless it was asked for otherwise."""

    txid: str
    failed: bool
    slot: int = 0
    final: bool = True


class Landed(msgspec.Struct, frozen=True):
    """A transaction that is final on chain. ``at`` is its block's time, Unix seconds."""

    transaction: VersionedTransaction
    slot: int
    at: float | None
    #: The error that it ended with, as JSON.
    error: str | None
    #: As solders has it; None where the RPC kept none.
    meta: Any = None


class Rpc:
    """One RPC, or several as one. Use as an async context manager, or ``close`` it.

    Of several, those that fail are passed over, and what is final a majority must say (see
    ``transport``). What is asked for at ``Finalized`` here is such a question.
    """

    def __init__(self, url: str | Sequence[str], timeout: float = TIMEOUT_S) -> None:
        """``url``: a list, or with commas between them, where there are several."""
        self.urls = urls_of(url)
        if not self.urls:
            raise RpcUnavailable("No RPC is configured.")
        self._timeout = timeout
        self._client = AsyncClient(self.urls[0], Confirmed, timeout=timeout, http2=False)
        transport = Transport(self._client._provider, self.urls, timeout)
        self._client._provider = transport  # type: ignore[assignment]
        #: For people: without what may be secret in an address.
        self.name = transport.name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.close()

    # --- the chain -----------------------------------------------------------------------

    async def genesis(self) -> str:
        """The hash that tells one cluster from another."""
        return str((await self._ask(self._client.get_genesis_hash())).value)

    async def blockhash(self) -> Blockhash:
        """A fresh one, of a confirmed block."""
        value = (await self._ask(self._client.get_latest_blockhash(Confirmed))).value
        return Blockhash(str(value.blockhash), value.last_valid_block_height)

    async def height(self) -> Height:
        value = (await self._ask(self._client.get_epoch_info(Finalized))).value
        return Height(value.block_height, value.absolute_slot)

    async def epoch(self) -> int:
        """The current one: fees that tokens keep change with it."""
        epoch: int = (await self._ask(self._client.get_epoch_info(Confirmed))).value.epoch
        return epoch

    # --- accounts ------------------------------------------------------------------------

    async def balance(self, address: Pubkey) -> int:
        """Lamports."""
        value: int = (await self._ask(self._client.get_balance(address, Confirmed))).value
        return value

    async def lamports(self, addresses: Sequence[Pubkey]) -> Lamports:
        """At most 100 accounts, as of the last finalized block."""
        call = self._client.get_multiple_accounts(list(addresses), Finalized)
        answer = await self._ask(call)
        if len(answer.value) != len(addresses):
            raise RpcUnavailable("The RPC answered for other accounts than it was asked for.")
        values = [0 if each is None else each.lamports for each in answer.value]
        return Lamports(answer.context.slot, values)

    async def token_account(self, address: Pubkey) -> TokenAccount | None:
        """None if there is no account, or another kind."""
        found = (await self._ask(self._client.get_account_info(address, Confirmed))).value
        return token_account(found) if found is not None else None

    async def final_token_account(self, address: Pubkey) -> tuple[TokenAccount | None, int]:
        """As of the last finalized block, and that block's slot."""
        answer = await self._ask(self._client.get_account_info(address, Finalized))
        found = None if answer.value is None else token_account(answer.value)
        return found, answer.context.slot

    async def mint(self, address: Pubkey, *, final: bool = False) -> Mint | None:
        """None if there is none. ``final``: as of the last finalized block."""
        level = Finalized if final else Confirmed
        found = (await self._ask(self._client.get_account_info(address, level))).value
        return read_mint(found) if found is not None else None

    async def rent(self, size: int) -> int:
        """Lamports that an account of ``size`` bytes must hold to live for ever."""
        call = self._client.get_minimum_balance_for_rent_exemption(size)
        value: int = (await self._ask(call)).value
        return value

    async def airdrop(self, address: Pubkey, lamports: int) -> str:
        """SOL from a test cluster's faucet; its transaction's id."""
        return str((await self._ask(self._client.request_airdrop(address, lamports))).value)

    # --- transactions --------------------------------------------------------------------

    async def simulate(self, transaction: VersionedTransaction) -> str | None:
        """The error that it would end with now, as JSON; None if none. No signature needed."""
        call = self._client.simulate_transaction(
            transaction, sig_verify=False, commitment=Confirmed
        )
        return _error((await self._ask(call)).value.err)

    async def send(self, raw: bytes) -> str:
        """Broadcast; its id. Without preflight (we simulated before co-signing, and a repeated
        send must not be refused as already processed) and without the RPC's own retries."""
        options = TxOpts(
            skip_preflight=True,
            preflight_commitment=Confirmed,  # solana-py's default is finalized
            max_retries=0,
        )
        return str((await self._ask(self._client.send_raw_transaction(raw, options))).value)

    async def statuses(self, txids: Sequence[str], *, search: bool = False) -> Statuses:
        """At most 256 at a time. ``search``: in the whole history, not only the last minutes."""
        signatures = [Signature.from_string(txid) for txid in txids]
        answer = await self._ask(self._client.get_signature_statuses(signatures, search))
        if len(answer.value) != len(txids):
            raise RpcUnavailable("The RPC answered for other transactions than it was asked for.")
        return Statuses(answer.context.slot, [_status(each) for each in answer.value])

    async def transaction(self, txid: str, mint: str) -> OnChain | None:
        """What a confirmed one did, in tokens of ``mint``; None if the RPC does not have it."""
        call = self._client.get_transaction(
            Signature.from_string(txid), "base64", Confirmed, max_supported_transaction_version=0
        )
        found = (await self._ask(call)).value
        return None if found is None else _on_chain(txid, mint, found)

    async def history(self, address: Pubkey, at_least: int = 0) -> list[Named]:
        """Final transactions that name ``address``, oldest first, by a node that has the
        finalized block ``at_least``; one that lags behind refuses."""
        found: list[Named] = []
        for _ in range(PAGES):
            page = await self.recent(address, found[-1].txid if found else None, at_least)
            found += page
            if len(page) < SIGNATURES:
                break
        return found[::-1]

    async def recent(
        self,
        address: Pubkey,
        before: str | None = None,
        at_least: int = 0,
        *,
        final: bool = True,
    ) -> list[Named]:
        """One page of transactions that name ``address``, newest first; fewer than
        ``SIGNATURES`` are the last page. ``before``: older than this one. ``final``: only
        those; else the confirmed ones too."""
        call = self._client.get_signatures_for_address(
            address,
            before=None if before is None else Signature.from_string(before),
            limit=SIGNATURES,
            commitment=Finalized if final else Confirmed,
            min_context_slot=at_least or None,
        )
        page = [
            Named(
                str(each.signature),
                each.err is not None,
                each.slot,
                final or each.confirmation_status == Level.Finalized,
            )
            for each in (await self._ask(call)).value
        ]
        if before is not None and any(each.txid == before for each in page):
            # Whoever reads page after page would never come to the last one.
            raise RpcUnavailable(f"The RPC at {self.name} repeats itself.")
        return page

    async def seen(self, txid: str) -> Seen | None:
        """What a final transaction did to token accounts; None if the RPC does not have it."""
        call = self._client.get_transaction(
            Signature.from_string(txid), "base64", Finalized, max_supported_transaction_version=0
        )
        found = (await self._ask(call)).value
        if found is None:
            return None
        with foreign(lambda why: RpcUnavailable(f"The RPC's {txid} cannot be read: {why}.")):
            return reading.seen(txid, found)

    async def landed(self, txid: str) -> Landed | None:
        """A final transaction; None if the RPC does not have it."""
        call = self._client.get_transaction(
            Signature.from_string(txid), "base64", Finalized, max_supported_transaction_version=0
        )
        found = (await self._ask(call)).value
        if found is None:
            return None
        transaction = found.transaction.transaction
        if not isinstance(transaction, VersionedTransaction):
            raise RpcUnavailable("The RPC answered in another encoding than it was asked for.")
        meta = found.transaction.meta
        error = None if meta is None else _error(meta.err)
        return Landed(transaction, found.slot, found.block_time, error, meta)

    async def _ask(self, call: Awaitable[T]) -> Any:
        """Await an answer that has a value; every way to fail becomes one of ours."""
        try:
            # httpx's time-out is for each read; a slow trickle could go on for ever.
            async with asyncio.timeout(self._timeout):
                answer: Any = await call
        except RPCException as error:
            raise _refused(error) from error
        except NoAnswer as error:
            raise RpcUnavailable(str(error)) from error
        except (SolanaRpcException, TimeoutError, OSError) as error:
            raise RpcUnavailable(f"The RPC at {self.name} cannot be reached.") from error
        except BaseException as error:
            if not is_foreign(error):
                raise
            raise RpcUnavailable(f"The RPC at {self.name} answered garbage.") from error
        # A raw {"error": {"code": 429}} comes out of the parser as the integer 429.
        if isinstance(answer, int) or not hasattr(answer, "value"):
            raise RpcUnavailable(f"The RPC at {self.name} refused to answer ({answer!r}).")
        return answer


def _on_chain(txid: str, mint: str, found: Any) -> OnChain:
    sent, meta = found.transaction.transaction, found.transaction.meta
    if not isinstance(sent, VersionedTransaction) or meta is None:
        raise RpcUnavailable(f"The RPC has the transaction {txid}, but not what it did.")
    return OnChain(
        signature=txid,
        slot=found.slot,
        at=found.block_time,
        error=_error(meta.err),
        fee=meta.fee,
        units=meta.compute_units_consumed,
        signers=reading.signers(sent),
        steps=reading.steps(sent),
        moves=reading.moves(meta.pre_token_balances, meta.post_token_balances, mint),
    )


def _refused(error: RPCException) -> RpcError:
    told = error.args[0] if error.args else ""
    text = getattr(told, "message", None)
    if isinstance(text, str):
        return RpcRefused(text)
    # An error without a text of its own, such as RpcCustomErrorFieldless.NodeUnhealthy.
    name = str(told).rpartition(".")[2]
    if name.startswith("Transaction"):
        return RpcRefused(name)
    return RpcUnavailable(f"The RPC refused to answer ({name}).")


def _status(found: Any) -> Status | None:
    if found is None:
        return None
    level = found.confirmation_status
    if level == Level.Finalized or (level is None and found.confirmations is None):
        return Status(found.slot, "finalized", _error(found.err))
    if level == Level.Confirmed:
        return Status(found.slot, "confirmed", _error(found.err))
    return Status(found.slot, "processed", _error(found.err))


def _error(error: Any) -> str | None:
    """solders' error object as the JSON that the RPC sent, which solders does not keep."""
    return None if error is None else json.dumps(_told(error), separators=(",", ":"))


def _told(error: Any) -> Any:
    if isinstance(error, TransactionErrorInstructionError):
        return {"InstructionError": [error.index, _told(error.err)]}
    kind = type(error).__name__
    if kind.endswith("Fieldless"):
        return str(error).rpartition(".")[2]
    name = kind.removeprefix("TransactionError").removeprefix("InstructionError")
    values = [getattr(error, each) for each in _FIELDS if hasattr(error, each)]
    return {name: values[0]} if values else name
