"""What a transaction on chain did, in words and numbers for whoever checks a payment. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from solders.instruction import CompiledInstruction
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.token.constants import (
    ASSOCIATED_TOKEN_PROGRAM_ID,
    TOKEN_2022_PROGRAM_ID,
    TOKEN_PROGRAM_ID,
)

from ..api.schemas.transactions import Move, Step
from .deposits import Holding, Seen
from .transactions import LIGHTHOUSE

PROGRAMS = {
    Pubkey.default(): "System",
    Pubkey.from_string("ComputeBudget111111111111111111111111111111"): "Compute Budget",
    ASSOCIATED_TOKEN_PROGRAM_ID: "Associated Token",
    TOKEN_PROGRAM_ID: "Token",
    TOKEN_2022_PROGRAM_ID: "Token-2022",
    MEMO_PROGRAM_ID: "Memo",
    LIGHTHOUSE: "Lighthouse",
}
#: A memo that fills a whole packet is still one line of a page.
MEMO_SHOWN = 1_000


def steps(transaction: VersionedTransaction) -> tuple[Step, ...]:
    """Its instructions in order. A look-up table's accounts are not resolved: we issue none."""
    message = transaction.message
    return tuple(_step(each, message.account_keys) for each in message.instructions)


def signers(transaction: VersionedTransaction) -> tuple[str, ...]:
    """The addresses that signed; the first one paid the fee."""
    message = transaction.message
    return tuple(str(k) for k in message.account_keys[: message.header.num_required_signatures])


def moves(before: Sequence[Any] | None, after: Sequence[Any] | None, mint: str) -> tuple[Move, ...]:
    """What each owner's balance of ``mint`` changed by, largest first.

    ``before`` and ``after`` are the RPC's token balances (UiTransactionTokenBalance).
    """
    change: dict[str, int] = {}
    for balances, sign in ((before, -1), (after, 1)):
        for each in balances or ():
            if str(each.mint) == mint:
                owner = str(each.owner)
                change[owner] = change.get(owner, 0) + sign * int(each.ui_token_amount.amount)
    moved = [Move(owner, amount) for owner, amount in change.items() if amount]
    return tuple(sorted(moved, key=lambda move: -move.amount))


def seen(txid: str, found: Any) -> Seen:
    """What solders' answer to getTransaction says of token accounts, as plain words.

    Raises ``ValueError`` where it does not say all of it: an account that looks untouched
    because its balance was left out would be a deposit lost.
    """
    sent, meta = found.transaction.transaction, found.transaction.meta
    if not isinstance(sent, VersionedTransaction) or meta is None:
        raise ValueError("it came without what it did")
    before, after = meta.pre_token_balances, meta.post_token_balances
    if before is None or after is None:
        raise ValueError("it came without token balances")
    message = sent.message
    tables = getattr(message, "address_table_lookups", None)
    loaded = meta.loaded_addresses
    if tables and loaded is None:
        raise ValueError("it came without the accounts of its look-up tables")
    keys = [*message.account_keys, *(loaded.writable if loaded else ())]
    keys += loaded.readonly if loaded else ()
    return Seen(
        txid=txid,
        slot=found.slot,
        at=found.block_time,
        failed=meta.err is not None,
        keys=tuple(str(key) for key in keys),
        signers=signers(sent),
        holdings=_holdings(keys, before, after),
    )


def _holdings(
    keys: Sequence[Pubkey], before: Sequence[Any], after: Sequence[Any]
) -> tuple[Holding, ...]:
    amounts: dict[tuple[str, str, str, str], list[int]] = {}
    for place, balances in enumerate((before, after)):
        for each in balances:
            who = (str(keys[each.account_index]), str(each.owner), str(each.mint))
            held = amounts.setdefault((*who, str(each.program_id)), [0, 0])
            held[place] += int(each.ui_token_amount.amount)
    return tuple(Holding(*who, *held) for who, held in amounts.items())


def _step(instruction: CompiledInstruction, keys: Sequence[Pubkey]) -> Step:
    program = _key(keys, instruction.program_id_index)
    name = PROGRAMS.get(program, str(program)) if program else "an account of a look-up table"
    return Step(name, _words(name, bytes(instruction.data), _named(keys, instruction.accounts)))


def _words(program: str, data: bytes, accounts: list[str]) -> str:
    """What is meant, for the instructions that claims are made of; else how large it is."""
    try:
        if program == "Memo":
            return data[:MEMO_SHOWN].decode("utf-8", "replace")
        if program == "Compute Budget":
            return _budget(data)
        if program in ("Token", "Token-2022") and data[0] == 12:
            (amount,) = struct.unpack_from("<Q", data, 1)
            return f"Transfer {amount} base units from {accounts[0]} to {accounts[2]}"
        if program == "Token-2022" and data[:2] == b"\x1a\x01":
            amount, _, fee = struct.unpack_from("<QBQ", data, 2)
            where = f"from {accounts[0]} to {accounts[2]}"
            return f"Transfer {amount} base units {where}, of which the token keeps {fee}"
        if program == "System" and data[:4] == b"\x03\0\0\0":
            return f"Create {accounts[1]}, the mark that this payment leaves"
        if program == "Associated Token" and data == b"\x01":
            return f"Create the token account {accounts[1]} of {accounts[2]} if it is missing"
    except (struct.error, IndexError):
        pass  # shorter than its kind: it is shown as what it is, bytes
    return f"{len(data)} bytes for {len(accounts)} accounts"


def _budget(data: bytes) -> str:
    if data[0] == 2:
        return f"At most {struct.unpack_from('<I', data, 1)[0]} compute units"
    if data[0] == 3:
        return f"{struct.unpack_from('<Q', data, 1)[0]} micro-lamports per compute unit"
    return f"{len(data)} bytes"


def _named(keys: Sequence[Pubkey], places: bytes | Sequence[int]) -> list[str]:
    return [str(_key(keys, place) or "an account of a look-up table") for place in places]


def _key(keys: Sequence[Pubkey], place: int) -> Pubkey | None:
    return keys[place] if place < len(keys) else None
