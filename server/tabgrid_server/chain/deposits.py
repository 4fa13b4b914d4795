"""What a finalized transaction brought, and to whom. Pure.

The rules, in order:

1. A transaction that failed brought nothing, whatever it says.
2. It brought what the treasury's own token account holds more after it than before, by the
   transaction's own record: not what an instruction names, which a fee may lessen, and nothing
   where another token, or another program's, was moved.
3. References say for whom: if all that it names and that this grid gave out belong to one
   user, they get all of it, be it more or less than was asked for, however small.
4. References of several users leave open which one was meant, and no reference at all too:
   nobody's, until the operator says so. Nothing is credited twice or split by guess.
5. Without a reference, what the treasury's owner sends or a mint issues is the operator's
   own refill, and nobody's credit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

#: What became of a transaction's money. "unread": the RPC could not tell what it did.
State = Literal["credited", "unassigned", "refill", "unread"]


class Holding(msgspec.Struct, frozen=True):
    """A token account that a transaction names; base units before and after it."""

    account: str
    owner: str
    mint: str
    program: str
    before: int
    after: int


class Seen(msgspec.Struct, frozen=True):
    """A transaction as the chain keeps it. ``at`` is its block's time, Unix seconds."""

    txid: str
    slot: int
    at: float | None
    failed: bool
    #: All accounts that it names, those of look-up tables too.
    keys: tuple[str, ...]
    signers: tuple[str, ...]
    holdings: tuple[Holding, ...]


class Till(msgspec.Struct, frozen=True):
    """Where deposits go: the treasury's token account, whose it is, and what it takes."""

    account: str
    owner: str
    mint: str
    program: str


class Request(msgspec.Struct, frozen=True):
    """A deposit that somebody means to make. ``amount`` in base units, None for any.

    ``reference`` is a key that nobody has, made for this request alone. ``wallet`` is where a
    refund goes instead of the account that paid.
    """

    id: str
    owner: str
    token: str
    reference: str
    amount: int | None
    wallet: str | None
    created_at: float


class Deposit(msgspec.Struct, frozen=True):
    """What one transaction brought. ``payer`` owns the account that it came from."""

    state: State
    amount: int
    payer: str | None
    request: Request | None

    @property
    def refund_to(self) -> str | None:
        """The wallet that the user named beforehand, else the one that paid."""
        named = self.request.wallet if self.request else None
        return named or self.payer


def meaning(seen: Seen, till: Till, requests: Iterable[Request]) -> Deposit | None:
    """What ``seen`` brought; None if nothing. ``requests``: those whose references it names."""
    amount = received(seen, till)
    if amount <= 0:
        return None
    named = sorted(requests, key=lambda each: seen.keys.index(each.reference))
    owners = {each.owner for each in named}
    payer = _payer(seen, till)
    if len(owners) == 1:
        return Deposit("credited", amount, payer, named[0])
    own = payer is None or till.owner in (payer, *seen.signers)
    state: State = "refill" if not owners and own else "unassigned"
    return Deposit(state, amount, payer, None)


def received(seen: Seen, till: Till) -> int:
    """Base units that the treasury's account has more by ``seen``; negative if less."""
    if seen.failed:
        return 0
    kind = (till.account, till.mint, till.program)
    ours = (h for h in seen.holdings if (h.account, h.mint, h.program) == kind)
    return sum(each.after - each.before for each in ours)


def trouble(seen: Seen, till: Till) -> str:
    """Why a transaction with a reference brought nothing, for who waits for it."""
    if seen.failed:
        return "it failed"
    if received(seen, till) > 0:
        return "it names deposits of several users, so the operator has to say whose it is"
    moved = [each for each in seen.holdings if each.after > each.before]
    if any((each.mint, each.program) != (till.mint, till.program) for each in moved):
        return "it moved another token"
    return "it brought nothing to the treasury's account"


def _payer(seen: Seen, till: Till) -> str | None:
    """Who owns the account that gave most of it; None for tokens that were just made."""
    gave = [
        each
        for each in seen.holdings
        if each.mint == till.mint and each.account != till.account and each.after < each.before
    ]
    if not gave:
        return None
    # The account breaks a tie, so that every reader finds the same one.
    return max(gave, key=lambda each: (each.before - each.after, each.account)).owner


# --- what can be given back ------------------------------------------------------------------


class Share(msgspec.Struct, frozen=True):
    """Base units of unused deposits that can go back to ``wallet``."""

    wallet: str
    amount: int


def refundable(
    paid: Sequence[Share], refunded: Mapping[str, int], unused: int
) -> tuple[Share, ...]:
    """Which wallets can have how much back, of deposits ``paid`` in the order they came.

    Credit that was given is spent first, and old deposits before new ones: so what is
    ``unused`` belongs to the newest deposits. No wallet gets more than it brought.
    """
    brought: dict[str, int] = {}
    for each in reversed(paid):
        brought[each.wallet] = brought.get(each.wallet, 0) + each.amount
    shares = []
    for wallet, amount in brought.items():
        part = max(0, min(amount - refunded.get(wallet, 0), unused))
        unused -= part
        if part:
            shares.append(Share(wallet, part))
    return tuple(shares)
