"""The epochs as the chain has them: how one is written there, and how one is read back.

Every epoch's transaction names one address that follows from the treasury's account, so that
its history is the chain of epochs and little else. Anybody can name that address; what counts
is signed, and its fee paid, by a key of the grid.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

import msgspec
from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID

from ..proofs.epoch import Memo, memo_text, read_memo
from .rpc import SIGNATURES, Rpc
from .transactions import memo as write_memo

_SEED = "tabgrid:epochs"


class Published(msgspec.Struct, frozen=True):
    """An epoch that is final on chain. ``at`` is its block's time, Unix seconds."""

    memo: Memo
    txid: str
    signer: str
    slot: int
    at: float | None


def address_of(treasury: Pubkey) -> Pubkey:
    """The address that every epoch of the grid with this treasury account names."""
    return Pubkey.create_with_seed(treasury, _SEED, SYSTEM)


def message(
    memo: Memo, treasury: Pubkey, payer: Pubkey, blockhash: str, compute_unit_price: int
) -> MessageV0:
    """Of the transaction that publishes ``memo``; ``payer``, a key of the grid, signs it."""
    params = TransferParams(from_pubkey=payer, to_pubkey=address_of(treasury), lamports=0)
    steps = [
        set_compute_unit_price(compute_unit_price),
        transfer(params),  # of nothing: it puts the address into the transaction
        write_memo(memo_text(memo)),
    ]
    return MessageV0.try_compile(payer, steps, [], Hash.from_string(blockhash))


def read(transaction: VersionedTransaction, keys: Collection[str]) -> tuple[Memo, str] | None:
    """The epoch that it publishes and the key that signed it; None if it is none of ``keys``'.

    The signatures are verified here: an RPC cannot make one up.
    """
    message = transaction.message
    if not isinstance(message, Message | MessageV0):
        return None
    if isinstance(message, MessageV0) and message.address_table_lookups:
        return None
    accounts = message.account_keys
    if not accounts or str(accounts[0]) not in keys or not all(transaction.verify_with_results()):
        return None
    memos = [
        found
        for each in message.instructions
        if each.program_id_index < len(accounts)
        and accounts[each.program_id_index] == MEMO_PROGRAM_ID
        and (found := read_memo(bytes(each.data))) is not None
    ]
    return (memos[0], str(accounts[0])) if len(memos) == 1 else None


async def published(rpc: Rpc, treasury: Pubkey, keys: Collection[str]) -> AsyncIterator[Published]:
    """Epochs that are final on chain, newest transaction first, without an end of pages.

    Each is read when it is asked for. Raises ``RpcError``.
    """
    address, before = address_of(treasury), None
    while True:
        page = await rpc.recent(address, before)
        for each in page:
            if each.failed:
                continue
            landed = await rpc.landed(each.txid)
            if landed is None or landed.error is not None:
                continue
            found = read(landed.transaction, keys)
            if found is not None:
                yield Published(found[0], each.txid, found[1], landed.slot, landed.at)
        if len(page) < SIGNATURES:
            return
        before = page[-1].txid
