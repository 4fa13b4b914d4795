"""The chain's errors of a claim, in words for the person who claims."""

from __future__ import annotations

import json
from typing import Any

from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM
from spl.token.constants import ASSOCIATED_TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from .batches import claim_at
from .transactions import AnyMessage

NO_SOL = (
    "The wallet has too little SOL for the network. The first claim of a wallet needs about "
    "0.003 SOL, later ones 0.001, of which 0.0009 come back some days later."
)
#: Of a payout whose transaction failed by another payment in it.
ANOTHERS_FAULT = (
    "Another payment in the same transaction failed, and with it this one. Ask for it again."
)
#: Of a claim whose mark is on chain already (see ``markers``).
ALREADY_PAID = "This payment is on chain already."
PAUSED = "Claims are paused: the treasury's allowance is used up. The money stays claimable."
REVOKED = "Claims are paused: the treasury's delegate is not approved. The money stays claimable."

FEE_CHANGED = "The token has just changed the fee that it keeps. Claim again to see the new one."
NEEDS_MEMO = (
    "The wallet's token account takes payments only right behind a memo, and something that the "
    "wallet added came between. Turn off its protection for this claim, or the account's demand."
)

#: The token programs' own numbers.
_TOKEN = {
    1: PAUSED,
    4: REVOKED,
    17: "The wallet's token account is frozen.",
    32: FEE_CHANGED,
    36: NEEDS_MEMO,
}
_FEES = ("AccountNotFound", "InsufficientFundsForFee", "InsufficientFundsForRent")


def explain(error: str, message: AnyMessage) -> str:
    """``error`` is the RPC's JSON for what happened to ``message``; a sentence."""
    try:
        told = json.loads(error)
    except ValueError:
        told = error
    kind = next(iter(told)) if isinstance(told, dict) and told else told
    if kind in _FEES:
        return NO_SOL
    known = _instruction(told["InstructionError"], message) if kind == "InstructionError" else None
    return known or f"The network refused the transaction: {error}."


def at_fault(error: str, message: AnyMessage) -> str | None:
    """The claim whose part of ``message`` failed; None where it is nobody's in particular."""
    try:
        told = json.loads(error)
        place = told["InstructionError"][0]
    except (ValueError, TypeError, KeyError, IndexError):
        return None
    return claim_at(message, place) if isinstance(place, int) else None


def _instruction(told: Any, message: AnyMessage) -> str | None:
    if not (isinstance(told, list) and len(told) == 2 and isinstance(told[1], dict)):
        return None
    program, code = _program(message, told[0]), told[1].get("Custom")
    if program in (TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID):
        return _TOKEN.get(code) if isinstance(code, int) else None
    if program == SYSTEM and code == 0:
        return ALREADY_PAID
    # Making the mark and the token account are the steps that move SOL: their rent.
    return NO_SOL if program in (SYSTEM, ASSOCIATED_TOKEN_PROGRAM_ID) and code == 1 else None


def _program(message: AnyMessage, place: Any) -> Pubkey | None:
    if not isinstance(place, int) or not 0 <= place < len(message.instructions):
        return None
    return message.account_keys[message.instructions[place].program_id_index]
