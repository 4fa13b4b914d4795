"""What left the treasury, by the chain alone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from solders.instruction import CompiledInstruction
from solders.pubkey import Pubkey
from spl.memo.constants import MEMO_PROGRAM_ID

from ...chain.rpc import SIGNATURES, Landed, Named, Rpc
from ...chain.tokens import TOKEN_PROGRAMS
from .evidence import Payment

#: Transactions that are asked for at a time.
PARALLEL = 8
_CLAIM = b"tabgrid:"
_TRANSFER, _CHECKED, _WITH_FEE = 3, 12, b"\x1a\x01"


async def payments(rpc: Rpc, treasury: Pubkey, keys: Collection[str]) -> list[Payment]:
    """All final payments out of ``treasury`` that one of ``keys`` signed. Raises ``RpcError``."""
    named: list[Named] = []
    while True:
        page = await rpc.recent(treasury, named[-1].txid if named else None)
        named += page
        if len(page) < SIGNATURES:
            break
    places = asyncio.Semaphore(PARALLEL)

    async def read(txid: str) -> list[Payment]:
        async with places:
            landed = await rpc.landed(txid)
        return [] if landed is None else payments_in(txid, landed, treasury, keys)

    found = await asyncio.gather(*(read(each.txid) for each in named if not each.failed))
    return [payment for each in found for payment in each]


def payments_in(
    txid: str, landed: Landed, treasury: Pubkey, keys: Collection[str]
) -> list[Payment]:
    """The transfers from ``treasury`` in one transaction, each with the claim named before it."""
    message = landed.transaction.message
    accounts = message.account_keys
    signers = {str(key) for key in accounts[: message.header.num_required_signatures]}
    if landed.error is not None or not signers & set(keys):
        return []
    owners = _owners(landed)
    claim, found = "", []
    for each in message.instructions:
        program = accounts[each.program_id_index]
        data = bytes(each.data)
        if program == MEMO_PROGRAM_ID and data.startswith(_CLAIM):
            claim = data.removeprefix(_CLAIM).decode(errors="replace")
        elif program in TOKEN_PROGRAMS and (amount := _amount(data)) is not None:
            source, target = _ends(each, data)
            if accounts[source] == treasury and accounts[target] != treasury:
                wallet = owners.get(target, str(accounts[target]))
                found.append(Payment(txid, landed.slot, wallet, amount, claim))
                claim = ""
    return found


def _amount(data: bytes) -> int | None:
    """What a transfer takes from its source; None for any other instruction."""
    if data[:1] in (bytes([_TRANSFER]), bytes([_CHECKED])):
        return int.from_bytes(data[1:9], "little")
    return int.from_bytes(data[2:10], "little") if data.startswith(_WITH_FEE) else None


def _ends(instruction: CompiledInstruction, data: bytes) -> tuple[int, int]:
    """Places of source and target: a checked transfer has the mint between them."""
    places = bytes(instruction.accounts)
    return places[0], places[1 if data[0] == _TRANSFER else 2]


def _owners(landed: Landed) -> dict[int, str]:
    """Whose the token accounts are, by their place in the transaction."""
    told = (landed.meta and landed.meta.post_token_balances) or ()
    return {each.account_index: str(each.owner) for each in told}
