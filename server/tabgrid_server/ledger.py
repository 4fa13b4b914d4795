"""Double-entry money. Pure: no clock, no database, integers only.

A transfer moves base units of one token between accounts; its postings sum to zero. The
pair (kind, ref) names it for ever: whoever books it twice books it once.

    kind     ref      from                    to
    grant    key      system:grants:<owner>   user:<owner>:credit
    hold     job      user:<owner>:credit     user:<owner>:hold
    settle   job      user:<owner>:hold       node:<wallet>:withheld, system:fees,
                                              user:<owner>:credit (what was held too much)
    refund   job      user:<owner>:hold       user:<owner>:credit
    release  batch    node:<wallet>:withheld  node:<wallet>:claimable
    reserve  claim    node:<wallet>:claimable node:<wallet>:in_flight
    pay      claim    node:<wallet>:in_flight system:chain
                                              system:push_fees (where the grid paid the
                                              network's fee for the wallet)
    return   claim    node:<wallet>:in_flight node:<wallet>:claimable
    recover  claim    node:<wallet>:claimable system:chain, system:push_fees
                      system:overpaid:<wallet> (what these books did not have)
    offset   offset   node:<wallet>:claimable system:overpaid:<wallet>
    deposit  txid     system:chain            user:<owner>:credit, or system:unassigned
    assign   txid     system:unassigned       user:<owner>:credit
    void     job      node:<wallet>:withheld  user:<owner>:credit (the whole price)
                      system:fines (what fines had taken of the pay already)
                      system:fees
    fine     job      node:<wallet>:withheld  system:fines
    forfeit  job      node:<wallet>:withheld  system:forfeits
    restore  job      system:fines            node:<wallet>:claimable
                      system:restored (the    node:<wallet>:withheld (what the fine took of pay
                      pay of an answer that   that is withheld still)
                      was right after all)
    reinstate forfeit system:forfeits         node:<wallet>:claimable

A claim that gives a user's unused deposits back (a refund) moves their money in the same
steps: its source is user:<owner>:credit, and user:<owner>:in_flight stands for node:<wallet>'s.

Only ``system:`` accounts may be negative: they are the grid's own side of a promise.

``recover`` books a payment that the chain has and the books do not, after a database was
restored from a backup. What they lack for it is owed by the wallet: ``offset`` takes it from
what becomes claimable later, so that no more is ever paid than these books say was earned.

The last five book what ``trust`` decides of pay that is withheld. A wrong answer is void: its
user has the price back, from whoever had a part of it. What is fined is gone from what is
withheld at once, and is not let go with the jobs that earned it. A forfeit bears the name of the
first of its jobs. Whoever is found to have been right has the fine and the pay back; that pay is
the grid's own loss, since the user keeps what was given back. What a fine took of pay that is
withheld still is withheld with it again: so what fines hold is always what can be given back of
them, and a void takes no more from them than it finds there, whatever came in which order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Kind = Literal[
    "grant",
    "hold",
    "settle",
    "refund",
    "release",
    "reserve",
    "pay",
    "return",
    "recover",
    "offset",
    "deposit",
    "assign",
    "void",
    "fine",
    "forfeit",
    "restore",
    "reinstate",
]
#: (account, token)
AccountKey = tuple[str, str]

FEES = "system:fees"
CHAIN = "system:chain"
#: What was paid in and nobody knows yet by whom or for whom.
UNASSIGNED = "system:unassigned"
#: What wallets without SOL paid, in the token, for having the network's fee paid for them.
PUSH_FEES = "system:push_fees"
#: What wrong answers cost their nodes beside the pay.
FINES = "system:fines"
#: What convicted nodes lost.
FORFEITS = "system:forfeits"
#: Minus what the grid paid itself for answers that were called wrong and were right.
RESTORED = "system:restored"


class LedgerError(Exception):
    """Base of the ledger's refusals."""


class Unbalanced(LedgerError):
    """The postings of a transfer do not sum to zero, or name an account twice: a bug."""


class InsufficientFunds(LedgerError):
    """An account that may not be negative would become so. Nothing was moved."""

    def __init__(self, account: str, needed: int, available: int) -> None:
        super().__init__(f"{account} has {available} but {needed} are needed.")
        self.account = account
        self.needed = needed
        self.available = available


class Transfer(msgspec.Struct, frozen=True):
    """A movement of money: who (+ receives, - gives) and by which right (kind, ref)."""

    kind: Kind
    ref: str
    token: str
    postings: tuple[tuple[str, int], ...]
    at: float


def credit_of(owner: str) -> str:
    return f"user:{owner}:credit"


def hold_of(owner: str) -> str:
    return f"user:{owner}:hold"


def grants_of(owner: str) -> str:
    """The other side of what an owner was given: minus its sum, so nothing need be added up."""
    return f"system:grants:{owner}"


def withheld_of(wallet: str) -> str:
    return f"node:{wallet}:withheld"


def claimable_of(wallet: str) -> str:
    return f"node:{wallet}:claimable"


def source_of(wallet: str, owner: str | None = None) -> str:
    """Where a claim's money comes from: what ``wallet`` earned, or ``owner``'s credit."""
    return claimable_of(wallet) if owner is None else credit_of(owner)


def in_flight_of(wallet: str, owner: str | None = None) -> str:
    """Where it is while the claim is under way."""
    return f"node:{wallet}:in_flight" if owner is None else f"user:{owner}:in_flight"


def overpaid_of(wallet: str) -> str:
    """Minus what a wallet was paid beyond what these books know of."""
    return f"system:overpaid:{wallet}"


def may_be_negative(account: str) -> bool:
    return account.startswith("system:")


def apply(balances: Mapping[AccountKey, int], transfer: Transfer) -> dict[AccountKey, int]:
    """The new balances of the accounts that ``transfer`` touches.

    Accounts missing from ``balances`` hold nothing. Raises ``Unbalanced`` or
    ``InsufficientFunds``; then nothing has changed.
    """
    total = 0
    changed: dict[AccountKey, int] = {}
    for account, amount in transfer.postings:
        total += amount
        key = (account, transfer.token)
        before = balances.get(key, 0)
        after = before + amount
        if after < 0 and amount < 0 and not may_be_negative(account):
            raise InsufficientFunds(account, -amount, before)
        changed[key] = after
    if total != 0 or len(changed) != len(transfer.postings):
        raise Unbalanced(f"{transfer.kind} {transfer.ref} is off by {total}.")
    return changed


def grant(ref: str, owner: str, amount: int, token: str, at: float) -> Transfer:
    """Credit that the grid gives away (a demo key)."""
    return _move("grant", ref, token, grants_of(owner), credit_of(owner), amount, at)


def deposit(txid: str, owner: str | None, amount: int, token: str, at: float) -> Transfer:
    """Credit that was paid for on chain; where the owner is not known, nobody's yet."""
    target = UNASSIGNED if owner is None else credit_of(owner)
    return _move("deposit", txid, token, CHAIN, target, amount, at)


def assign(txid: str, owner: str, amount: int, token: str, at: float) -> Transfer:
    """A deposit of nobody's is found to be ``owner``'s."""
    return _move("assign", txid, token, UNASSIGNED, credit_of(owner), amount, at)


def hold(job: str, owner: str, price: int, token: str, at: float) -> Transfer:
    """Set a job's price aside, so that it cannot be spent twice."""
    return _move("hold", job, token, credit_of(owner), hold_of(owner), price, at)


def refund(job: str, owner: str, held: int, token: str, at: float) -> Transfer:
    """Give a job's hold back: it failed or was cancelled."""
    return _move("refund", job, token, hold_of(owner), credit_of(owner), held, at)


def settle(
    job: str, owner: str, wallet: str, held: int, price: int, fee: int, token: str, at: float
) -> Transfer:
    """Charge ``price`` of what is held: ``fee`` to the grid, the rest to the node."""
    if not 0 <= fee <= price <= held:
        raise Unbalanced(f"settle {job}: fee {fee}, price {price}, held {held}.")
    postings = (
        (hold_of(owner), -held),
        (withheld_of(wallet), price - fee),
        (FEES, fee),
        (credit_of(owner), held - price),
    )
    return Transfer("settle", job, token, tuple(p for p in postings if p[1]), at)


def release(ref: str, wallet: str, amount: int, token: str, at: float) -> Transfer:
    """Let withheld earnings be claimed."""
    return _move("release", ref, token, withheld_of(wallet), claimable_of(wallet), amount, at)


def void(
    job: str, owner: str, wallet: str, pay: int, from_fines: int, fee: int, token: str, at: float
) -> Transfer:
    """Give a wrong answer's whole price back: ``pay`` is still withheld, ``from_fines`` is not."""
    if min(pay, from_fines, fee) < 0:
        raise Unbalanced(f"void {job}: pay {pay}, from fines {from_fines}, fee {fee}.")
    postings = (
        (withheld_of(wallet), -pay),
        (FINES, -from_fines),
        (FEES, -fee),
        (credit_of(owner), pay + from_fines + fee),
    )
    return Transfer("void", job, token, tuple(p for p in postings if p[1]), at)


def fine(job: str, wallet: str, amount: int, token: str, at: float) -> Transfer:
    """Take a fine for a wrong answer from what other jobs earned."""
    return _move("fine", job, token, withheld_of(wallet), FINES, amount, at)


def forfeit(ref: str, wallet: str, amount: int, token: str, at: float) -> Transfer:
    """A convicted node loses what is withheld."""
    return _move("forfeit", ref, token, withheld_of(wallet), FORFEITS, amount, at)


def restore(
    job: str, wallet: str, pay: int, fine: int, withheld: int, token: str, at: float
) -> Transfer:
    """Take a strike back: its fine, ``withheld`` of which waits again, and the pay if the answer
    was right."""
    if min(pay, fine, withheld, fine - withheld) < 0:
        raise Unbalanced(f"restore {job}: pay {pay}, fine {fine}, withheld {withheld}.")
    postings = (
        (RESTORED, -pay),
        (FINES, -fine),
        (withheld_of(wallet), withheld),
        (claimable_of(wallet), pay + fine - withheld),
    )
    return Transfer("restore", job, token, tuple(p for p in postings if p[1]), at)


def reinstate(ref: str, wallet: str, amount: int, token: str, at: float) -> Transfer:
    """A conviction was lifted: give back what was forfeited as ``ref``."""
    return _move("reinstate", ref, token, FORFEITS, claimable_of(wallet), amount, at)


def reserve(
    claim: str, wallet: str, amount: int, token: str, at: float, owner: str | None = None
) -> Transfer:
    """Put claimable earnings, or ``owner``'s unused credit, into a claim."""
    source, target = source_of(wallet, owner), in_flight_of(wallet, owner)
    return _move("reserve", claim, token, source, target, amount, at)


def pay(
    claim: str,
    wallet: str,
    amount: int,
    token: str,
    at: float,
    owner: str | None = None,
    fee: int = 0,
) -> Transfer:
    """The claim's transaction is final: the money has left for the chain, less ``fee``."""
    if not fee:
        return _move("pay", claim, token, in_flight_of(wallet, owner), CHAIN, amount, at)
    postings = ((in_flight_of(wallet, owner), -amount), *_arrived(claim, amount, fee))
    return Transfer("pay", claim, token, postings, at)


def give_back(
    claim: str, wallet: str, amount: int, token: str, at: float, owner: str | None = None
) -> Transfer:
    """The claim can never land any more: its amount is where it came from again."""
    source, target = in_flight_of(wallet, owner), source_of(wallet, owner)
    return _move("return", claim, token, source, target, amount, at)


def recover(
    claim: str,
    wallet: str,
    amount: int,
    available: int,
    token: str,
    at: float,
    owner: str | None = None,
    fee: int = 0,
) -> Transfer:
    """A payment of ``amount``, less ``fee``, that is final on chain, where ``available`` is
    there to book."""
    known = min(amount, available)
    sources = ((source_of(wallet, owner), -known), (overpaid_of(wallet), known - amount))
    postings = (*((a, n) for a, n in sources if n), *_arrived(claim, amount, fee))
    return Transfer("recover", claim, token, postings, at)


def offset(
    ref: str, wallet: str, amount: int, token: str, at: float, owner: str | None = None
) -> Transfer:
    """Take what a wallet was paid too early from what it would be paid now."""
    return _move("offset", ref, token, source_of(wallet, owner), overpaid_of(wallet), amount, at)


def _arrived(claim: str, amount: int, fee: int) -> tuple[tuple[str, int], ...]:
    if not fee:
        return ((CHAIN, amount),)
    if not 0 < fee < amount:
        raise Unbalanced(f"claim {claim}: a fee of {fee} for {amount}.")
    return ((CHAIN, amount - fee), (PUSH_FEES, fee))


def _move(
    kind: Kind, ref: str, token: str, source: str, target: str, amount: int, at: float
) -> Transfer:
    if amount < 0:
        raise Unbalanced(f"{kind} {ref}: a transfer cannot move {amount}.")
    # A free job moves nothing, but its transfer still says that it was booked.
    postings = ((source, -amount), (target, amount)) if amount else ()
    return Transfer(kind, ref, token, postings, at)
