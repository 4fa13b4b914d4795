"""A local chain that can lose its newest blocks, and a network that is in no hurry.

The chain is the real one (LiteSVM, SPL programs, the JSON-RPC methods of ``tabgrid localnet``);
what is added is what a cluster does to people: transactions that are dropped, delayed, land out
of order, land and are forked away, and land again.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable

from solders.account import Account
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID

from tabgrid_server.chain.localnet.journal import Journal
from tabgrid_server.chain.localnet.machine import Machine
from tabgrid_server.chain.transactions import LIGHTHOUSE

_NOTHING = Account(lamports=0, data=b"", owner=SYSTEM, executable=False, rent_epoch=0)


class ForkingMachine(Machine):
    """``fork`` undoes every transaction that is not final."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(Journal(None), now)
        # The machine itself refuses what it has a record of; LiteSVM must not remember what
        # was forked away.
        self._svm = self._svm.with_transaction_history(0)
        # The guards that wallets add: any program that takes their bytes and a signer will do.
        memo = self._svm.get_account(MEMO_PROGRAM_ID)
        assert memo is not None
        self._svm.add_program(LIGHTHOUSE, bytes(memo.data))

    def fork(self) -> list[VersionedTransaction]:
        """The transactions that are no longer on the chain, oldest first."""
        final = self.finalized()
        lost = [each for each in self._records.values() if each.slot > final]
        while self._before and self._before[-1][0] > final:
            self._restore(self._before.pop()[1])
        for record in lost:
            del self._records[record.signature]
            for key in record.transaction.message.account_keys:
                self._by_account[key].remove(record.signature)
        return [record.transaction for record in lost]

    def _restore(self, accounts: dict[Pubkey, Account | None]) -> None:
        for address, account in accounts.items():
            if account is None or not account.executable:
                self._svm.set_account(address, account or _NOTHING)


class Network:
    """Takes transactions, and brings them to the chain when it likes."""

    def __init__(self, machine: ForkingMachine, rng: random.Random) -> None:
        self.machine = machine
        self.rng = rng
        self.pending: list[VersionedTransaction] = []
        #: Chances, of 1: that a pending transaction lands now, or is dropped.
        self.lands, self.drops = 1.0, 0.0

    def take(self, text: str) -> str:
        transaction = VersionedTransaction.from_bytes(base64.b64decode(text))
        if not all(transaction.verify_with_results()):
            raise AssertionError("a transaction was broadcast whose signatures do not hold")
        self.pending.append(transaction)
        return str(transaction.signatures[0])

    def move(self) -> None:
        """Time for the leaders: some land, in any order, some are lost."""
        waiting, self.pending = self.pending, []
        self.rng.shuffle(waiting)
        for transaction in waiting:
            chance = self.rng.random()
            if chance < self.lands:
                self.machine.send(transaction)
            elif chance > self.drops + self.lands:
                self.pending.append(transaction)

    def fork(self) -> None:
        """Undo what is not final; leaders may still know some of it."""
        self.pending += [each for each in self.machine.fork() if self.rng.random() < 0.5]
