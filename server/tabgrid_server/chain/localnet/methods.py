"""The methods of Solana's RPC that wallets, libraries and this project use."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.hash import Hash
from solders.message import MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from ..panics import foreign
from ..tokens import TOKEN_PROGRAMS, read_mint, token_account
from . import views
from .machine import SLOTS_PER_EPOCH, Machine, Outcome
from .text import from_base58

Json = dict[str, Any]
Method = Callable[["Methods", list[Any]], Any]

#: What Agave's RPC caps these at.
MAX_ACCOUNTS, MAX_STATUSES, MAX_SIGNATURES = 100, 256, 1_000
#: Slots of which statuses are known without a search through history.
STATUS_CACHE = 300
#: One packet, in the longer of the encodings, and some.
MAX_TEXT = 4_096
#: SOL at a time; a cluster's faucet gives less.
MAX_AIRDROP = 1_000 * 10**9
LAMPORTS_PER_SIGNATURE = 5_000

INVALID_PARAMS = -32602
PREFLIGHT_FAILED = -32002
BAD_SIGNATURE = -32003
UNSUPPORTED_VERSION = -32015
LAGGING = -32016


class RpcError(Exception):
    """An answer of JSON-RPC's ``error`` kind."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


class Methods:
    """``call`` answers one request against one chain."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def call(self, name: str, params: list[Any]) -> Any:
        """The result, as JSON. Raises ``RpcError``."""
        method = METHODS.get(name)
        if method is None:
            raise RpcError(-32601, f"Method not found: {name}")
        with foreign(lambda reason: RpcError(INVALID_PARAMS, f"Invalid params: {reason}")):
            return method(self, params)

    # --- the chain -----------------------------------------------------------------------

    def get_latest_blockhash(self, params: list[Any]) -> Json:
        slot = self._slot(params, 0)
        value = {
            "blockhash": str(self.machine.blockhash(slot)),
            "lastValidBlockHeight": slot + self.machine.window,
        }
        return self._context(value)

    def is_blockhash_valid(self, params: list[Any]) -> Json:
        blockhash = Hash.from_string(_text(params, 0))
        return self._context(self.machine.last_valid(blockhash) is not None)

    def get_slot(self, params: list[Any]) -> int:
        return self._slot(params, 0)

    def get_epoch_info(self, params: list[Any]) -> Json:
        slot = self._slot(params, 0)
        return {
            "absoluteSlot": slot,
            "blockHeight": slot,
            "epoch": slot // SLOTS_PER_EPOCH,
            "slotIndex": slot % SLOTS_PER_EPOCH,
            "slotsInEpoch": SLOTS_PER_EPOCH,
            "transactionCount": self.machine.count,
        }

    def get_block_time(self, params: list[Any]) -> int:
        return self.machine.time_of(int(params[0]))

    def get_transaction_count(self, params: list[Any]) -> int:
        return self.machine.count

    def get_genesis_hash(self, params: list[Any]) -> str:
        return str(self.machine.genesis_hash)

    def get_health(self, params: list[Any]) -> str:
        return "ok"

    def get_version(self, params: list[Any]) -> Json:
        return {"solana-core": "2.2.0", "feature-set": 0}

    def get_recent_prioritization_fees(self, params: list[Any]) -> list[Json]:
        return [{"slot": self.machine.slot(), "prioritizationFee": 0}]

    def get_rent(self, params: list[Any]) -> int:
        return self.machine.rent(int(params[0]))

    def get_fee_for_message(self, params: list[Any]) -> Json:
        message = from_bytes_versioned(base64.b64decode(_text(params, 0), validate=True))
        if self.machine.last_valid(message.recent_blockhash) is None:
            return self._context(None)
        return self._context(LAMPORTS_PER_SIGNATURE * message.header.num_required_signatures)

    # --- accounts ------------------------------------------------------------------------

    def get_balance(self, params: list[Any]) -> Json:
        found = self._account(params, _key(params, 0))
        return self._as_of(params, found.lamports if found else 0)

    def get_account_info(self, params: list[Any]) -> Json:
        found = self._account(params, _key(params, 0))
        return self._as_of(params, views.account(self.machine, found, _encoding(params, 1)))

    def get_multiple_accounts(self, params: list[Any]) -> Json:
        keys = [Pubkey.from_string(each) for each in _list(params, 0, MAX_ACCOUNTS)]
        encoding = _encoding(params, 1)
        found = [self._account(params, key) for key in keys]
        return self._as_of(params, [views.account(self.machine, each, encoding) for each in found])

    def get_token_account_balance(self, params: list[Any]) -> Json:
        found = self.machine.account(_key(params, 0))
        token = token_account(found) if found else None
        if token is None:
            raise RpcError(INVALID_PARAMS, "Invalid param: could not find account")
        decimals = views.decimals_of(self.machine, token.mint)
        return self._context(views.amount(token.amount, decimals))

    def get_token_supply(self, params: list[Any]) -> Json:
        found = self.machine.account(_key(params, 0))
        mint = read_mint(found) if found else None
        if mint is None:
            raise RpcError(INVALID_PARAMS, "Invalid param: not a Token mint")
        return self._context(views.amount(mint.supply, mint.decimals))

    def get_token_accounts_by_owner(self, params: list[Any]) -> Json:
        owner, only = _key(params, 0), _options(params, 1)
        mint, program = only.get("mint"), only.get("programId")
        if (mint is None) == (program is None):
            raise RpcError(INVALID_PARAMS, "Invalid params: give either mint or programId")
        programs = [Pubkey.from_string(program)] if program else list(TOKEN_PROGRAMS)
        wanted = Pubkey.from_string(mint) if mint else None
        rows = []
        for key, found in (pair for each in programs for pair in self.machine.owned_by(each)):
            token = token_account(found)
            if token and token.owner == owner and wanted in (None, token.mint):
                shown = views.account(self.machine, found, _encoding(params, 2))
                rows.append({"pubkey": str(key), "account": shown})
        return self._context(rows)

    def request_airdrop(self, params: list[Any]) -> str:
        lamports = int(params[1])
        if not 0 < lamports <= MAX_AIRDROP:
            raise RpcError(INVALID_PARAMS, f"Invalid params: 1 to {MAX_AIRDROP} lamports")
        signature, outcome = self.machine.airdrop(_key(params, 0), lamports)
        if outcome.error is not None:
            raise RpcError(INVALID_PARAMS, f"Airdrop refused: {views.error_text(outcome.error)}")
        return signature

    # --- transactions --------------------------------------------------------------------

    def send_transaction(self, params: list[Any]) -> str:
        transaction = _transaction(params)
        if not all(transaction.verify_with_results()):
            raise RpcError(BAD_SIGNATURE, "Transaction signature verification failure")
        if not _options(params, 1).get("skipPreflight"):
            outcome = self.machine.simulate(transaction)
            if outcome.error is not None:
                raise RpcError(
                    PREFLIGHT_FAILED,
                    f"Transaction simulation failed: {views.error_text(outcome.error)}",
                    _simulated(outcome),
                )
        # As on a cluster: what no block takes is dropped without a word.
        self.machine.send(transaction)
        return str(transaction.signatures[0])

    def simulate_transaction(self, params: list[Any]) -> Json:
        transaction, options = _transaction(params), _options(params, 1)
        if options.get("sigVerify") and not all(transaction.verify_with_results()):
            raise RpcError(BAD_SIGNATURE, "Transaction signature verification failure")
        replace = bool(options.get("replaceRecentBlockhash"))
        outcome = self.machine.simulate(transaction, check_hash=not replace)
        return self._context(_simulated(outcome))

    def get_signature_statuses(self, params: list[Any]) -> Json:
        search = bool(_options(params, 1).get("searchTransactionHistory"))
        oldest = 0 if search else self.machine.slot() - STATUS_CACHE
        found = []
        for text in _list(params, 0, MAX_STATUSES):
            record = self.machine.record(str(Signature.from_string(text)))
            known = record is not None and record.slot >= oldest
            found.append(views.status(self.machine, record) if record and known else None)
        return self._context(found)

    def get_signatures_for_address(self, params: list[Any]) -> list[Json]:
        options = _options(params, 1)
        limit = int(options.get("limit") or MAX_SIGNATURES)
        if not 1 <= limit <= MAX_SIGNATURES:
            raise RpcError(INVALID_PARAMS, f"Invalid params: limit is 1 to {MAX_SIGNATURES}")
        highest = self._slot(params, 1)
        if highest < int(options.get("minContextSlot") or 0):
            raise RpcError(LAGGING, "Minimum context slot has not been reached")
        records = self.machine.records_of(_key(params, 0))
        names = [record.signature for record in records]
        before = options.get("before")
        if before and self.machine.record(before) is None:
            return []  # as Agave's blockstore does for one that it does not have
        start = names.index(before) + 1 if before in names else 0
        end = names.index(options["until"]) if options.get("until") in names else len(names)
        rows = [r for r in records[start:end] if r.slot <= highest]
        return [views.signature(self.machine, record) for record in rows[:limit]]

    def get_transaction(self, params: list[Any]) -> Json | None:
        options = _options(params, 1)
        record = self.machine.record(str(Signature.from_string(_text(params, 0))))
        if record is None or record.slot > self._slot(params, 1):
            return None
        newest = options.get("maxSupportedTransactionVersion")
        if newest is None and isinstance(record.transaction.message, MessageV0):
            raise RpcError(
                UNSUPPORTED_VERSION,
                "Transaction version (0) is not supported by the requesting client. Please try "
                "the request again with the following configuration parameter: "
                '"maxSupportedTransactionVersion": 0',
            )
        return views.transaction(record, _encoding(params, 1, "json"))

    # --- helpers -------------------------------------------------------------------------

    def _slot(self, params: list[Any], place: int) -> int:
        """The newest slot that the asked commitment (by default finalized) covers."""
        final = _options(params, place).get("commitment", "finalized") == "finalized"
        return self.machine.finalized() if final else self.machine.slot()

    def _account(self, params: list[Any], key: Pubkey) -> Account | None:
        """As of a finalized block only where that is asked for: a person at a local chain
        wants to see at once what they did, and most libraries leave the default."""
        if _options(params, 1).get("commitment") == "finalized":
            return self.machine.final_account(key)
        return self.machine.account(key)

    def _as_of(self, params: list[Any], value: Any) -> Json:
        told = self._context(value)
        if _options(params, 1).get("commitment") == "finalized":
            told["context"]["slot"] = self.machine.finalized()
        return told

    def _context(self, value: Any) -> Json:
        return {"context": {"slot": self.machine.slot(), "apiVersion": "2.2.0"}, "value": value}


METHODS: dict[str, Method] = {
    "getAccountInfo": Methods.get_account_info,
    "getBalance": Methods.get_balance,
    "getBlockHeight": Methods.get_slot,
    "getBlockTime": Methods.get_block_time,
    "getEpochInfo": Methods.get_epoch_info,
    "getFeeForMessage": Methods.get_fee_for_message,
    "getGenesisHash": Methods.get_genesis_hash,
    "getHealth": Methods.get_health,
    "getLatestBlockhash": Methods.get_latest_blockhash,
    "getMinimumBalanceForRentExemption": Methods.get_rent,
    "getMultipleAccounts": Methods.get_multiple_accounts,
    "getRecentPrioritizationFees": Methods.get_recent_prioritization_fees,
    "getSignatureStatuses": Methods.get_signature_statuses,
    "getSignaturesForAddress": Methods.get_signatures_for_address,
    "getSlot": Methods.get_slot,
    "getTokenAccountBalance": Methods.get_token_account_balance,
    "getTokenAccountsByOwner": Methods.get_token_accounts_by_owner,
    "getTokenSupply": Methods.get_token_supply,
    "getTransaction": Methods.get_transaction,
    "getTransactionCount": Methods.get_transaction_count,
    "getVersion": Methods.get_version,
    "isBlockhashValid": Methods.is_blockhash_valid,
    "requestAirdrop": Methods.request_airdrop,
    "sendTransaction": Methods.send_transaction,
    "simulateTransaction": Methods.simulate_transaction,
}


def _transaction(params: list[Any]) -> VersionedTransaction:
    text = _text(params, 0)
    base = _options(params, 1).get("encoding", "base58")
    try:
        raw = base64.b64decode(text, validate=True) if base == "base64" else from_base58(text)
    except (binascii.Error, ValueError) as error:
        raise RpcError(INVALID_PARAMS, f"invalid {base} encoding: {error}") from error
    transaction = VersionedTransaction.from_bytes(raw)
    transaction.sanitize()
    if bytes(transaction) != raw:
        raise RpcError(INVALID_PARAMS, "failed to deserialize: trailing bytes")
    # What is not re-serialised here is not what was signed.
    to_bytes_versioned(transaction.message)
    return transaction


def _simulated(outcome: Outcome) -> Json:
    return {
        "err": outcome.error,
        "logs": outcome.logs,
        "accounts": None,
        "unitsConsumed": outcome.units,
        "returnData": None,
        "innerInstructions": None,
        "replacementBlockhash": None,
        "fee": outcome.fee,
    }


def _options(params: list[Any], place: int) -> Json:
    value = params[place] if len(params) > place else None
    if value is not None and not isinstance(value, dict):
        raise RpcError(INVALID_PARAMS, "Invalid params: options must be an object")
    return value or {}


def _encoding(params: list[Any], place: int, default: str = "base64") -> str:
    encoding = _options(params, place).get("encoding") or default
    if encoding not in ("base58", "base64", "json", "jsonParsed"):
        raise RpcError(INVALID_PARAMS, f"Invalid params: encoding {encoding} is not offered here")
    return str(encoding)


def _text(params: list[Any], place: int) -> str:
    value = params[place] if len(params) > place else None
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise RpcError(INVALID_PARAMS, f"Invalid params: parameter {place} must be a short string")
    return value


def _key(params: list[Any], place: int) -> Pubkey:
    return Pubkey.from_string(_text(params, place))


def _list(params: list[Any], place: int, most: int) -> list[str]:
    value = params[place] if len(params) > place else None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RpcError(INVALID_PARAMS, "Invalid params: a list of strings is needed")
    if len(value) > most:
        raise RpcError(INVALID_PARAMS, f"Invalid params: at most {most} at a time")
    return value
