"""The chain itself: slots that pass with time, blockhashes that expire, transactions.

Synchronous, and pure but for LiteSVM's state: time comes from the clock that it is given.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from ..tokens import Balances, balances_of
from ..transactions import memo, writable
from . import registers
from .journal import Genesis, Journal, JournalError, Landed, Started

#: Slots between the block that holds a transaction and the one that makes it final.
FINALITY = 32
#: Blocks for which a blockhash is valid on a cluster.
WINDOW = 150
SLOTS_PER_EPOCH = 432_000
#: An evicted transaction could be executed twice: more than a local chain ever sees.
HISTORY = 1_000_000
#: Errors of transactions that a block does not take in, so that no fee is paid.
_NOT_TAKEN = ("AccountNotFound", "AlreadyProcessed", "BlockhashNotFound", "SignatureFailure")


class Record(msgspec.Struct, frozen=True):
    """A transaction on the chain. ``error`` and ``logs`` as the RPC gives them."""

    transaction: VersionedTransaction
    slot: int
    at: float
    error: Any
    fee: int
    units: int
    logs: list[str]
    before: Balances
    after: Balances

    @property
    def signature(self) -> str:
        return str(self.transaction.signatures[0])


class Outcome(msgspec.Struct, frozen=True):
    """What executing, or simulating, a transaction came to."""

    error: Any
    logs: list[str]
    units: int
    fee: int

    @property
    def taken(self) -> bool:
        """Whether a block takes it in: it succeeded, or failed after its fee was paid."""
        kind = self.error if isinstance(self.error, str) else None
        return kind not in _NOT_TAKEN and kind != "InsufficientFundsForFee"


class Machine:
    """One chain. ``now`` gives Unix seconds; ``window`` is for how many blocks a blockhash
    lives, so that a chain with short slots can leave a person the time to sign."""

    def __init__(
        self,
        journal: Journal,
        now: Callable[[], float],
        *,
        slot_ms: int = 400,
        window: int = WINDOW,
    ) -> None:
        self.window = window
        self._journal = journal
        self._now = now
        self._records: dict[str, Record] = {}
        self._by_account: dict[Pubkey, list[str]] = {}
        #: What each transaction that is not final yet could change, as it was, oldest first.
        self._before: deque[tuple[int, dict[Pubkey, Account | None]]] = deque()
        self._programs: dict[Pubkey, Account] = {}
        self._valid: dict[Hash, int] = {}
        self._newest = -1
        self._svm = LiteSVM().with_blockhash_check(False).with_transaction_history(HISTORY)
        self._svm = self._svm.with_sigverify(False)  # the facade checks; replay need not
        self._resume(slot_ms)

    # --- time ----------------------------------------------------------------------------

    def slot(self) -> int:
        """The current slot, which is the block height too: here no slot is ever skipped."""
        since_ms = max(0, round((self._now() - self._start.at) * 1000))
        return self._start.slot + since_ms // self._start.slot_ms

    def finalized(self) -> int:
        return max(0, self.slot() - FINALITY)

    def time_of(self, slot: int) -> int:
        """Unix seconds of a slot since the last start; earlier ones are only near it."""
        return int(self._start.at + (slot - self._start.slot) * self._start.slot_ms / 1000)

    def now(self) -> float:
        return self._now()

    def blockhash(self, slot: int) -> Hash:
        return Hash(sha256(self._seed + slot.to_bytes(8, "little")).digest())

    def last_valid(self, blockhash: Hash) -> int | None:
        """The height up to which this blockhash is valid; None if it is not, or no more."""
        current = self.slot()
        for slot in range(max(self._newest + 1, current - self.window), current + 1):
            self._valid[self.blockhash(slot)] = slot
        self._newest = max(self._newest, current)
        while self._valid:
            oldest = next(iter(self._valid))
            if self._valid[oldest] >= current - self.window:
                break
            del self._valid[oldest]
        issued = self._valid.get(blockhash)
        return None if issued is None else issued + self.window

    @property
    def genesis_hash(self) -> Hash:
        return Hash(sha256(b"genesis" + self._seed).digest())

    # --- reading -------------------------------------------------------------------------

    def account(self, address: Pubkey) -> Account | None:
        account = self._svm.get_account(address)
        return account if account is not None and account.lamports > 0 else None

    def final_account(self, address: Pubkey) -> Account | None:
        """As of the last finalized block."""
        self._forget_final()
        for _, accounts in self._before:
            if address in accounts:
                return accounts[address]
        return self.account(address)

    def owned_by(self, program: Pubkey) -> list[tuple[Pubkey, Account]]:
        return self._svm.get_program_accounts(program)

    def rent(self, size: int) -> int:
        return self._svm.minimum_balance_for_rent_exemption(size)

    def record(self, signature: str) -> Record | None:
        return self._records.get(signature)

    def records_of(self, account: Pubkey) -> list[Record]:
        """Newest first."""
        return [self._records[each] for each in reversed(self._by_account.get(account, []))]

    @property
    def count(self) -> int:
        return len(self._records)

    # --- executing -----------------------------------------------------------------------

    def simulate(self, transaction: VersionedTransaction, *, check_hash: bool = True) -> Outcome:
        """What sending it now would come to, signatures aside."""
        self._set_clock(self.slot(), self._now())
        if refusal := self._refusal(transaction, check_hash):
            return Outcome(refusal, [], 0, 0)
        result = self._svm.simulate_transaction(transaction)
        registers.give_back()
        if isinstance(result, FailedTransactionMetadata):
            return _outcome(result)
        return _outcome(result.meta())

    def send(self, transaction: VersionedTransaction) -> Outcome:
        """Execute it in the current slot, if a block would take it; signatures were checked."""
        slot, at = self.slot(), self._now()
        if refusal := self._refusal(transaction, check_hash=True):
            return Outcome(refusal, [], 0, 0)
        outcome = self._execute(transaction, slot, at)
        if outcome.taken:
            raw = base64.b64encode(bytes(transaction)).decode()
            self._journal.append(Landed(at=at, slot=slot, raw=raw))
        return outcome

    def airdrop(self, address: Pubkey, lamports: int) -> tuple[str, Outcome]:
        """SOL from the faucet, by a transaction like any other: its signature, and whether it
        worked (an account cannot start with less than its rent)."""
        params = TransferParams(
            from_pubkey=self._faucet.pubkey(), to_pubkey=address, lamports=lamports
        )
        # The memo makes two equal airdrops two transactions.
        steps = [transfer(params), memo(f"airdrop {self.count}")]
        message = MessageV0.try_compile(
            self._faucet.pubkey(), steps, [], self.blockhash(self.slot())
        )
        transaction = VersionedTransaction(message, [self._faucet])
        return str(transaction.signatures[0]), self.send(transaction)

    def _refusal(self, transaction: VersionedTransaction, check_hash: bool) -> str | None:
        if str(transaction.signatures[0]) in self._records:
            return "AlreadyProcessed"
        if check_hash and self.last_valid(transaction.message.recent_blockhash) is None:
            return "BlockhashNotFound"
        return None

    def _execute(self, transaction: VersionedTransaction, slot: int, at: float) -> Outcome:
        self._set_clock(slot, at)
        message = transaction.message
        keys = message.account_keys
        changing = [key for key, may in zip(keys, writable(message), strict=True) if may]
        accounts = {key: self.account(key) for key in changing}
        kept = {key: self._unchanging(key) for key in keys if key not in accounts}
        result = self._svm.send_transaction(transaction)
        registers.give_back()
        outcome = _outcome(result)
        if outcome.taken:
            before = self._balances(keys, kept | accounts)
            after = self._balances(keys, kept | {key: self.account(key) for key in changing})
            record = Record(
                transaction=transaction,
                slot=slot,
                at=at,
                error=outcome.error,
                fee=outcome.fee,
                units=outcome.units,
                logs=outcome.logs,
                before=before,
                after=after,
            )
            name = record.signature
            self._records[name] = record
            self._forget_final()
            self._before.append((slot, accounts))
            for key in keys:
                self._by_account.setdefault(key, []).append(name)
        return outcome

    def _unchanging(self, key: Pubkey) -> Account | None:
        """An account that a transaction only reads. A program is read once: it is long."""
        found = self._programs.get(key)
        if found is None:
            found = self.account(key)
            if found is not None and found.executable:
                self._programs[key] = found
        return found

    def _balances(self, keys: Sequence[Pubkey], known: dict[Pubkey, Account | None]) -> Balances:
        return balances_of(keys, lambda key: known[key] if key in known else self.account(key))

    def _forget_final(self) -> None:
        final = self.finalized()
        while self._before and self._before[0][0] <= final:
            self._before.popleft()

    def _set_clock(self, slot: int, at: float) -> None:
        epoch = slot // SLOTS_PER_EPOCH
        self._svm.set_clock(
            Clock(
                slot=slot,
                epoch_start_timestamp=int(at),
                epoch=epoch,
                leader_schedule_epoch=epoch + 1,
                unix_timestamp=int(at),
            )
        )

    # --- starting ------------------------------------------------------------------------

    def _resume(self, slot_ms: int) -> None:
        entries = self._journal.entries
        first = entries[0] if entries else self._found()
        if not isinstance(first, Genesis):
            raise JournalError("The chain's journal does not start with its genesis.")
        self._seed = bytes.fromhex(first.seed)
        self._faucet = Keypair.from_seed(sha256(b"faucet" + self._seed).digest())
        wealth = Account(lamports=10**18, data=b"", owner=SYSTEM, executable=False, rent_epoch=0)
        self._svm.set_account(self._faucet.pubkey(), wealth)
        self._start = Started(at=self._now(), slot=FINALITY, slot_ms=slot_ms)
        reached = FINALITY
        for entry in entries[1:]:
            if isinstance(entry, Started):
                self._start = entry
            elif isinstance(entry, Landed):
                self._replay(entry)
                reached = max(reached, entry.slot)
        # The chain went on while nobody looked; its time never runs backwards.
        slot = max(self.slot(), reached)
        self._start = Started(at=self._now(), slot=slot, slot_ms=slot_ms)
        self._journal.append(self._start)

    def _found(self) -> Genesis:
        genesis = Genesis(seed=secrets.token_hex(32))
        self._journal.append(genesis)
        return genesis

    def _replay(self, entry: Landed) -> None:
        transaction = VersionedTransaction.from_bytes(entry.bytes)
        outcome = self._execute(transaction, entry.slot, entry.at)
        if not outcome.taken:
            raise JournalError(
                f"Transaction {transaction.signatures[0]} of the chain's journal cannot be "
                f"repeated ({outcome.error}). Delete the journal to start a new chain."
            )


def _outcome(result: TransactionMetadata | FailedTransactionMetadata) -> Outcome:
    if isinstance(result, FailedTransactionMetadata):
        # Its JSON is the RPC's form of the error.
        error, meta = json.loads(result.to_json())["err"], result.meta()
    else:
        error, meta = None, result
    return Outcome(error, list(meta.logs()), meta.compute_units_consumed(), meta.fee())
