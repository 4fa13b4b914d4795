"""One claim, from reserved to its end. Pure: events in, instructions out; time is an argument.

::

    reserved ── WalletSigned ──▶ signed ──▶ confirmed ──▶ finalized   paid
        │                          ├──────────┴──▶ failed             money back
        └──────────────────────────┴──────────────▶ expired           money back

A claim's money goes back only once its transaction can no longer happen: it was never
co-signed, or it happened and failed for good, or the chain is past the height up to which
its blockhash is valid and knows nothing of it.

What an RPC says of a transaction is believed for good only if the mark that the transaction
leaves on chain (``markers``) agrees, read in a finalized block: two answers from two indexes
of the RPC. Where they differ, the mark's own history decides.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from .transactions import fee_in, read_message, unsigned

State = Literal["reserved", "signed", "confirmed", "finalized", "failed", "expired"]

#: Everything that may happen to a claim's state; anything else is a bug and raises.
TRANSITIONS: dict[State, frozenset[State]] = {
    "reserved": frozenset({"signed", "failed", "expired"}),
    "signed": frozenset({"confirmed", "finalized", "failed", "expired"}),
    # Expired too: a fork can take a confirmed block away.
    "confirmed": frozenset({"finalized", "failed", "expired"}),
    "finalized": frozenset(),
    "failed": frozenset(),
    "expired": frozenset(),
}
OVER: frozenset[State] = frozenset({"finalized", "failed", "expired"})

#: Unsigned, a claim holds its money no longer than this, even if no RPC answers: a blockhash
#: lives for about a minute on a cluster, and a wallet that signs later signs for nothing.
SIGN_WITHIN_S = 90.0
#: A payout that the grid pushes waits for others and for the grid's own means; then it goes back.
PUSH_WITHIN_S = 600.0
#: Leaders drop what they have no room for; the same bytes again are free and safe.
RESEND_S = 2.0


class Status(msgspec.Struct, frozen=True):
    """What the chain says of a transaction. ``error`` is the RPC's JSON of it, None if none."""

    slot: int
    commitment: Literal["processed", "confirmed", "finalized"]
    error: str | None = None


# --- events ---------------------------------------------------------------------------------


class WalletSigned(msgspec.Struct, frozen=True):
    """The wallet's bytes were checked and co-signed. The first and only time."""

    txid: str
    signed: bytes


class Pushed(msgspec.Struct, frozen=True):
    """The grid made and signed the transaction itself. The first and only time."""

    txid: str
    signed: bytes
    message: bytes
    blockhash: str
    last_valid_height: int


class Refused(msgspec.Struct, frozen=True):
    """A simulation, before any co-signature, says that the transaction would fail."""

    reason: str


class BlockhashGone(msgspec.Struct, frozen=True):
    """A simulation, before any co-signature, says that the blockhash is no longer valid."""


class BroadcastFailed(msgspec.Struct, frozen=True):
    """The RPC did not take the bytes. Says nothing about whether they are on chain."""

    reason: str


class StatusSeen(msgspec.Struct, frozen=True):
    """Answer to ``CheckStatus``. None means "not known here, now" and proves nothing."""

    status: Status | None


class HeightSeen(msgspec.Struct, frozen=True):
    """The finalized block height, and the slot at which it was read."""

    height: int
    slot: int


class HistorySearched(msgspec.Struct, frozen=True):
    """Answer to ``SearchHistory``, by an RPC node that stood at ``slot`` when it answered."""

    status: Status | None
    slot: int


class MarkerSeen(msgspec.Struct, frozen=True):
    """Answer to ``CheckMarker``: whether the mark is there in the finalized block ``slot``."""

    exists: bool
    slot: int


class MakerFound(msgspec.Struct, frozen=True):
    """Answer to ``FindMaker``: the final payment that left the mark, None if none is known;
    and whether this claim's own transaction is in the mark's history as failed."""

    txid: str | None
    failed: bool = False


class Ticked(msgspec.Struct, frozen=True):
    """Time passed."""


Event = (
    WalletSigned
    | Pushed
    | Refused
    | BlockhashGone
    | BroadcastFailed
    | StatusSeen
    | HeightSeen
    | HistorySearched
    | MarkerSeen
    | MakerFound
    | Ticked
)


# --- instructions ---------------------------------------------------------------------------


class Broadcast(msgspec.Struct, frozen=True):
    """Send these bytes; they and the claim's state must be committed before."""

    signed: bytes


class CheckStatus(msgspec.Struct, frozen=True):
    txid: str


class SearchHistory(msgspec.Struct, frozen=True):
    """Ask for the status with the whole history searched, from now on, not earlier."""

    txid: str


class CheckMarker(msgspec.Struct, frozen=True):
    """Look, in a finalized block, whether this claim's mark is there."""

    marker: str


class FindMaker(msgspec.Struct, frozen=True):
    """Ask the mark's own history which final payment left it, up to block ``slot`` at least."""

    marker: str
    slot: int


class Book(msgspec.Struct, frozen=True):
    """Move the money, in the same commit as the state: once per claim."""

    outcome: Literal["paid", "returned"]


Instruction = Broadcast | CheckStatus | SearchHistory | CheckMarker | FindMaker | Book


# --- the machine ----------------------------------------------------------------------------


class Claim(msgspec.Struct, kw_only=True):
    """A claim and its one attempt. Only ``handle`` changes it.

    ``amount`` in base units; times in Unix seconds; ``message`` is what the wallet is asked
    to sign, ``signed`` the whole transaction once co-signed. Where the grid pushes the payout,
    there is no message before it is signed, and others may share it.
    """

    id: str
    wallet: str
    token: str
    amount: int
    message: bytes
    blockhash: str
    last_valid_height: int
    created_at: float
    #: An unsigned reservation ends then even if no RPC answers.
    expires_at: float
    updated_at: float
    #: Which payment of its wallet this is, and the address of the mark that it leaves on
    #: chain. None for claims of a time before there were marks.
    seq: int | None = None
    marker: str | None = None
    #: The user whose unused credit this gives back; None where the wallet earned it.
    owner: str | None = None
    #: Base units of ``amount`` that the grid keeps for paying the network's fee itself; None
    #: where the wallet signs and pays it.
    push_fee: int | None = None
    state: State = "reserved"
    txid: str | None = None
    signed: bytes | None = None
    signed_at: float | None = None
    error: str | None = None
    #: What follows is not stored: after a restart it is found out again.
    sent_at: float | None = None
    #: The chain knew the transaction when last asked.
    known: bool = False
    #: Slot at which the finalized height was first seen past ``last_valid_height``.
    passed_slot: int | None = None
    #: Said to be final, and not yet borne out by the mark.
    verdict: Status | None = None
    #: Past its height, history knows nothing of it; not yet borne out either.
    unheard: bool = False
    booked: Literal["paid", "returned"] | None = None

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def transaction(self) -> str | None:
        """What the wallet is asked to sign, in base64, while it is awaited."""
        if self.state != "reserved" or self.pushed:
            return None
        return base64.b64encode(unsigned(read_message(self.message))).decode()

    @property
    def fee(self) -> int:
        """Base units that the token itself keeps of what is sent; the wallet gets the rest."""
        return fee_in(read_message(self.message), self.id) if self.message else 0

    @property
    def pushed(self) -> bool:
        """Whether the grid pays the network's fee, and nothing awaits the wallet."""
        return self.push_fee is not None

    @property
    def sent(self) -> int:
        """Base units that leave the treasury."""
        return self.amount - (self.push_fee or 0)

    @property
    def signature(self) -> str | None:
        """The name that pages use for a transaction's id."""
        return self.txid

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take one event; say what to do, in order. ``now`` is Unix seconds."""
        if self.over:
            return []
        return _HANDLERS[type(event)](self, event, now)

    def validate_state(self) -> None:
        """What must hold between any two events."""
        assert self.amount > 0
        assert 0 <= (self.push_fee or 0) < self.amount
        assert (self.signed is None) == (self.txid is None)
        if self.state == "reserved":
            assert self.signed is None
        if self.state in ("signed", "confirmed", "finalized"):
            assert self.signed is not None
        if not self.over:
            assert self.booked is None
        elif self.booked is not None:  # None after reading it back: booked in its commit
            assert self.booked == ("paid" if self.state == "finalized" else "returned")
        if self.state in ("failed", "expired"):
            assert self.error

    # --- one handler per event -----------------------------------------------------------

    def _wallet_signed(self, event: WalletSigned, now: float) -> list[Instruction]:
        if self.state != "reserved" or self.pushed:
            raise ValueError(f"claim {self.id} would be co-signed twice")
        self.txid, self.signed, self.signed_at = event.txid, event.signed, now
        self._move("signed", now)
        return []  # the next tick broadcasts it: once committed, or after a restart, alike

    def _was_pushed(self, event: Pushed, now: float) -> list[Instruction]:
        if self.state != "reserved" or not self.pushed:
            raise ValueError(f"claim {self.id} would be pushed twice")
        self.message, self.blockhash = event.message, event.blockhash
        self.last_valid_height = event.last_valid_height
        self.txid, self.signed, self.signed_at = event.txid, event.signed, now
        self._move("signed", now)
        return []

    def _refused(self, event: Refused, now: float) -> list[Instruction]:
        return [] if self.signed else self._end("failed", event.reason, now)

    def _blockhash_gone(self, event: BlockhashGone, now: float) -> list[Instruction]:
        # A payout that waits has no blockhash yet.
        late = self.signed is None and not self.pushed
        return self._end("expired", _TOO_LATE_TO_SIGN, now) if late else []

    def _broadcast_failed(self, event: BroadcastFailed, now: float) -> list[Instruction]:
        self.error = event.reason
        return []

    def _status_seen(self, event: StatusSeen, now: float) -> list[Instruction]:
        return self._learn(event.status, now)

    def _height_seen(self, event: HeightSeen, now: float) -> list[Instruction]:
        waiting = self.pushed and self.txid is None
        if waiting or event.height <= self.last_valid_height:
            return []
        if self.txid is None:
            return self._end("expired", _TOO_LATE_TO_SIGN, now)
        if self.passed_slot is None:
            self.passed_slot = event.slot
        # The search starts after the height was seen, so "nothing" is then the last word.
        return [SearchHistory(self.txid)]

    def _history_searched(self, event: HistorySearched, now: float) -> list[Instruction]:
        if event.status is not None:
            return self._learn(event.status, now)
        # A node that lags behind the one that told the height may not have it yet.
        if self.passed_slot is None or event.slot < self.passed_slot:
            return []
        if self.marker is None:
            return self._end("expired", _NOT_TAKEN, now)
        self.verdict, self.unheard = None, True
        return [CheckMarker(self.marker)]

    def _marker_seen(self, event: MarkerSeen, now: float) -> list[Instruction]:
        if self.marker is None or not (self.verdict or self.unheard):
            return []  # nothing was said that it could bear out
        if self.unheard and not event.exists:
            if self.passed_slot is None or event.slot < self.passed_slot:
                return []  # that node has not seen the last block yet
            return self._end("expired", _NOT_TAKEN, now)
        if self.verdict is not None and event.exists:
            return self._conclude(self.verdict, now)
        if self.verdict is not None and event.slot < self.verdict.slot:
            return []
        # They differ: one of the answers is wrong, or another transaction left this mark, or
        # the mark was there and its rent has been given back.
        if self.verdict is not None:
            return [FindMaker(self.marker, self.verdict.slot)]
        return [FindMaker(self.marker, self.passed_slot or 0)]

    def _maker_found(self, event: MakerFound, now: float) -> list[Instruction]:
        verdict, self.verdict = self.verdict, None
        unheard, self.unheard = self.unheard, False
        if event.txid is not None:
            if event.txid == self.txid:
                return self._end("finalized", None, now)
            return self._end("failed", _PAID_BY_ANOTHER, now)
        if verdict is not None and verdict.error is not None and event.failed:
            return self._conclude(verdict, now)
        # Past its height, unheard of, and no payment left the mark: whoever saw the address
        # may have sent a lamport there. Everything else was contradicted: ask again.
        return self._end("expired", _NOT_TAKEN, now) if unheard else []

    def _ticked(self, event: Ticked, now: float) -> list[Instruction]:
        if self.txid is None:
            late = now >= self.expires_at
            why = _NOT_PUSHED if self.pushed else _TOO_LATE_TO_SIGN
            return self._end("expired", why, now) if late else []
        due = self.sent_at is None or now - self.sent_at >= RESEND_S
        # Past its last height no leader takes it any more.
        send = due and not self.known and self.passed_slot is None
        check = CheckStatus(self.txid)
        return [self._send(now), check] if send else [check]

    # --- steps ---------------------------------------------------------------------------

    def _learn(self, status: Status | None, now: float) -> list[Instruction]:
        self.known = status is not None
        if status is None or status.commitment == "processed" or self.txid is None:
            return []
        self.unheard = False
        if status.commitment == "finalized":
            if self.marker is None:
                return self._conclude(status, now)
            self.verdict = status
            if status.error is not None:
                return [FindMaker(self.marker, status.slot)]
            return [CheckMarker(self.marker)]
        if status.error is None and self.state == "signed":
            self.error = None
            self._move("confirmed", now)
        return []

    def _conclude(self, final: Status, now: float) -> list[Instruction]:
        if final.error is not None:
            return self._end("failed", final.error, now)
        return self._end("finalized", None, now)

    def _send(self, now: float) -> Broadcast:
        assert self.signed is not None
        self.sent_at = now
        return Broadcast(self.signed)

    def _end(self, state: State, error: str | None, now: float) -> list[Instruction]:
        self.error = error
        self._move(state, now)
        self.booked = "paid" if state == "finalized" else "returned"
        return [Book(self.booked)]

    def _move(self, state: State, now: float) -> None:
        if state not in TRANSITIONS[self.state]:
            raise ValueError(f"claim {self.id} cannot go from {self.state} to {state}")
        self.state, self.updated_at = state, now


_TOO_LATE_TO_SIGN = "The wallet did not sign in time."
_NOT_PUSHED = "The grid could not pay the network's fee in time. Ask again later."
_NOT_TAKEN = "The network did not take the transaction in time."
_PAID_BY_ANOTHER = "Another transaction made this payment already; claim again to see it booked."

_HANDLERS: dict[type, Callable[[Claim, Any, float], list[Instruction]]] = {
    WalletSigned: Claim._wallet_signed,
    Pushed: Claim._was_pushed,
    Refused: Claim._refused,
    BlockhashGone: Claim._blockhash_gone,
    BroadcastFailed: Claim._broadcast_failed,
    StatusSeen: Claim._status_seen,
    HeightSeen: Claim._height_seen,
    HistorySearched: Claim._history_searched,
    MarkerSeen: Claim._marker_seen,
    MakerFound: Claim._maker_found,
    Ticked: Claim._ticked,
}
