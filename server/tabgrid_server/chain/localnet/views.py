"""Accounts and transactions in the JSON of Solana's RPC."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

from solders.account import Account
from solders.message import MessageV0
from solders.pubkey import Pubkey
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.token.constants import TOKEN_PROGRAM_ID

from ..tokens import Balances, TokenAccount, read_mint, token_account
from ..transactions import writable
from .machine import Machine, Record
from .text import base58

Json = dict[str, Any]


def account(machine: Machine, found: Account | None, encoding: str) -> Json | None:
    if found is None:
        return None
    return {
        "lamports": found.lamports,
        "owner": str(found.owner),
        "executable": found.executable,
        # What every account that pays no rent has.
        "rentEpoch": 18446744073709551615,
        "space": len(found.data),
        "data": _data(machine, found, encoding),
    }


def _data(machine: Machine, found: Account, encoding: str) -> Any:
    if encoding == "jsonParsed":
        parsed = _parsed(machine, found)
        if parsed is not None:
            return parsed
        encoding = "base64"
    if encoding == "base58":
        return [base58(found.data), "base58"]
    return [base64.b64encode(found.data).decode(), "base64"]


def _parsed(machine: Machine, found: Account) -> Json | None:
    program = "spl-token" if found.owner == TOKEN_PROGRAM_ID else "spl-token-2022"
    if mint := read_mint(found):
        info: Json = {"supply": str(mint.supply), "decimals": mint.decimals, "isInitialized": True}
        info |= {"mintAuthority": None, "freezeAuthority": None}
        kind = "mint"
    elif token := token_account(found):
        kind, info = "account", _token_info(machine, token)
    else:
        return None
    return {"program": program, "parsed": {"type": kind, "info": info}, "space": len(found.data)}


def _token_info(machine: Machine, token: TokenAccount) -> Json:
    decimals = decimals_of(machine, token.mint)
    info: Json = {
        "mint": str(token.mint),
        "owner": str(token.owner),
        "state": "initialized",
        "isNative": False,
        "tokenAmount": amount(token.amount, decimals),
    }
    if token.delegate is not None:
        info["delegate"] = str(token.delegate)
        info["delegatedAmount"] = amount(token.delegated, decimals)
    return info


def decimals_of(machine: Machine, mint: Pubkey) -> int:
    found = machine.account(mint)
    known = read_mint(found) if found else None
    return known.decimals if known else 0


def amount(units: int, decimals: int) -> Json:
    whole = Decimal(units).scaleb(-decimals)
    text = format(whole, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return {
        "amount": str(units),
        "decimals": decimals,
        "uiAmount": float(whole),
        "uiAmountString": text,
    }


def commitment(machine: Machine, slot: int) -> str:
    return "finalized" if slot <= machine.finalized() else "confirmed"


def status(machine: Machine, record: Record) -> Json:
    final = commitment(machine, record.slot)
    return {
        "slot": record.slot,
        "confirmations": None if final == "finalized" else machine.slot() - record.slot,
        "err": record.error,
        "status": _verdict(record.error),
        "confirmationStatus": final,
    }


def signature(machine: Machine, record: Record) -> Json:
    return {
        "signature": record.signature,
        "slot": record.slot,
        "err": record.error,
        "memo": _memo(record),
        "blockTime": int(record.at),
        "confirmationStatus": commitment(machine, record.slot),
    }


def transaction(record: Record, encoding: str) -> Json:
    return {
        "slot": record.slot,
        "blockTime": int(record.at),
        "version": 0 if isinstance(record.transaction.message, MessageV0) else "legacy",
        "transaction": _transaction(record, encoding),
        "meta": _meta(record),
    }


def _transaction(record: Record, encoding: str) -> Any:
    raw = bytes(record.transaction)
    if encoding == "base64":
        return [base64.b64encode(raw).decode(), "base64"]
    if encoding == "base58":
        return [base58(raw), "base58"]
    signatures = [str(each) for each in record.transaction.signatures]
    message = _parsed_message(record) if encoding == "jsonParsed" else _message(record)
    return {"signatures": signatures, "message": message}


def _message(record: Record) -> Json:
    message = record.transaction.message
    header = message.header
    return {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            {
                "programIdIndex": each.program_id_index,
                "accounts": list(each.accounts),
                "data": base58(bytes(each.data)),
                "stackHeight": 1,
            }
            for each in message.instructions
        ],
        "addressTableLookups": [],
    }


def _parsed_message(record: Record) -> Json:
    """With keys spelt out; data stays as it is, as the RPC does for programs it cannot read."""
    message = record.transaction.message
    keys, written = message.account_keys, writable(message)
    return {
        "accountKeys": [
            {
                "pubkey": str(key),
                "signer": message.is_signer(place),
                "writable": written[place],
                "source": "transaction",
            }
            for place, key in enumerate(keys)
        ],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            {
                "programId": str(keys[each.program_id_index]),
                "accounts": [str(keys[place]) for place in each.accounts],
                "data": base58(bytes(each.data)),
                "stackHeight": 1,
            }
            for each in message.instructions
        ],
        "addressTableLookups": [],
    }


def _meta(record: Record) -> Json:
    return {
        "err": record.error,
        "status": _verdict(record.error),
        "fee": record.fee,
        "preBalances": record.before.lamports,
        "postBalances": record.after.lamports,
        "preTokenBalances": _tokens(record.before),
        "postTokenBalances": _tokens(record.after),
        "innerInstructions": [],
        "logMessages": record.logs,
        "rewards": [],
        "loadedAddresses": {"writable": [], "readonly": []},
        "computeUnitsConsumed": record.units,
    }


def _tokens(balances: Balances) -> list[Json]:
    return [
        {
            "accountIndex": each.index,
            "mint": str(each.account.mint),
            "owner": str(each.account.owner),
            "programId": str(each.account.program),
            "uiTokenAmount": amount(each.account.amount, each.decimals),
        }
        for each in balances.tokens
    ]


def _verdict(error: Any) -> Json:
    return {"Ok": None} if error is None else {"Err": error}


def _memo(record: Record) -> str | None:
    """All memos in one line, each with its length before it, as the RPC has them."""
    message = record.transaction.message
    memos = [
        f"[{len(each.data)}] {bytes(each.data).decode('utf-8', 'replace')}"
        for each in message.instructions
        if message.account_keys[each.program_id_index] == MEMO_PROGRAM_ID
    ]
    return "; ".join(memos) or None


def error_text(error: Any) -> str:
    return error if isinstance(error, str) else json.dumps(error, separators=(",", ":"))
