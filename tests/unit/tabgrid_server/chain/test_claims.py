"""The claim's state machine, over any order of events."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tabgrid_server.chain import claims as c
from tabgrid_server.chain.claims import Claim, Status

NOW = 1_000_000.0
LAST = 500
TXID, SIGNED, MARK = "txid", b"signed", "mark"


def claim(**fields: object) -> Claim:
    made = Claim(
        id="claim_1",
        wallet="wallet",
        token="TGT",
        amount=5,
        message=b"",
        blockhash="hash",
        last_valid_height=LAST,
        created_at=NOW,
        updated_at=NOW,
        expires_at=NOW + c.SIGN_WITHIN_S,
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def signed(**fields: object) -> Claim:
    made = claim(**fields)
    assert made.handle(c.WalletSigned(TXID, SIGNED), NOW) == []
    return made


def status(commitment: str, error: str | None = None) -> Status:
    return Status(7, commitment, error)  # type: ignore[arg-type]


def test_the_straight_way() -> None:
    one = signed()
    assert one.handle(c.Ticked(), NOW) == [c.Broadcast(SIGNED), c.CheckStatus(TXID)]
    assert one.handle(c.StatusSeen(status("processed")), NOW) == []
    assert one.state == "signed"
    assert one.handle(c.StatusSeen(status("confirmed")), NOW + 1) == []
    assert one.state == "confirmed"
    assert one.handle(c.StatusSeen(status("finalized")), NOW + 2) == [c.Book("paid")]
    assert (one.state, one.updated_at, one.error) == ("finalized", NOW + 2, None)


def test_the_same_bytes_are_sent_again_until_the_chain_knows_them() -> None:
    one = signed()
    check = c.CheckStatus(TXID)
    assert one.handle(c.Ticked(), NOW)[0] == c.Broadcast(SIGNED)
    assert one.handle(c.Ticked(), NOW + 1) == [check]
    assert one.handle(c.Ticked(), NOW + c.RESEND_S) == [c.Broadcast(SIGNED), check]
    one.handle(c.StatusSeen(status("processed")), NOW + 3)
    assert one.handle(c.Ticked(), NOW + 9) == [check]
    one.handle(c.StatusSeen(None), NOW + 9)  # its fork is gone
    assert one.handle(c.Ticked(), NOW + 9) == [c.Broadcast(SIGNED), check]


def test_a_failure_counts_only_when_final() -> None:
    one = signed()
    assert one.handle(c.StatusSeen(status("confirmed", "why")), NOW) == []
    assert one.state == "signed"
    assert one.handle(c.StatusSeen(status("finalized", "why")), NOW) == [c.Book("returned")]
    assert (one.state, one.error) == ("failed", "why")


def test_expiry_needs_the_final_height_and_then_a_search() -> None:
    one = signed()
    assert one.handle(c.StatusSeen(None), NOW) == []
    assert one.handle(c.HistorySearched(None, 10**9), NOW) == [], "searched before the height"
    assert one.handle(c.HeightSeen(LAST, 900), NOW) == []
    assert one.handle(c.HeightSeen(LAST + 1, 901), NOW) == [c.SearchHistory(TXID)]
    assert one.handle(c.HistorySearched(None, 900), NOW) == [], "that node lags behind"
    assert one.handle(c.HistorySearched(None, 901), NOW) == [c.Book("returned")]
    assert one.state == "expired"


def test_a_search_that_finds_it_saves_it() -> None:
    one = signed()
    one.handle(c.HeightSeen(LAST + 1, 901), NOW)
    assert one.handle(c.HistorySearched(status("finalized"), 905), NOW) == [c.Book("paid")]


def test_nothing_is_sent_past_the_last_height() -> None:
    one = signed()
    one.handle(c.HeightSeen(LAST + 1, 901), NOW)
    assert one.handle(c.Ticked(), NOW + 60) == [c.CheckStatus(TXID)]


def marked(**fields: object) -> Claim:
    return signed(seq=0, marker=MARK, **fields)


FINAL, FINAL_ERROR = status("finalized"), status("finalized", "why")


def test_final_is_believed_when_the_mark_is_there() -> None:
    one = marked()
    assert one.handle(c.StatusSeen(FINAL), NOW) == [c.CheckMarker(MARK)]
    assert one.state == "signed"
    assert one.handle(c.MarkerSeen(exists=True, slot=7), NOW) == [c.Book("paid")]


def test_final_without_a_mark_is_a_question_for_its_history() -> None:
    one = marked()
    one.handle(c.StatusSeen(FINAL), NOW)
    assert one.handle(c.MarkerSeen(exists=False, slot=6), NOW) == [], "that node lags behind"
    assert one.handle(c.MarkerSeen(exists=False, slot=7), NOW) == [c.FindMaker(MARK, 7)]
    assert one.handle(c.MakerFound(None), NOW) == [], "the status was not true"
    assert one.handle(c.MarkerSeen(exists=True, slot=9), NOW) == [], "nothing is said any more"
    one.handle(c.StatusSeen(FINAL), NOW)
    one.handle(c.MarkerSeen(exists=False, slot=7), NOW)
    # Paid, and its rent was given back long ago: a database restored from a backup.
    assert one.handle(c.MakerFound(TXID), NOW) == [c.Book("paid")]


def test_failed_is_believed_when_the_mark_s_history_has_it() -> None:
    one = marked()
    assert one.handle(c.StatusSeen(FINAL_ERROR), NOW) == [c.FindMaker(MARK, 7)]
    assert one.handle(c.MakerFound(None), NOW) == [], "said by one index alone"
    one.handle(c.StatusSeen(FINAL_ERROR), NOW)
    assert one.handle(c.MakerFound(None, failed=True), NOW) == [c.Book("returned")]
    assert (one.state, one.error) == ("failed", "why")


def test_failed_and_paid_is_paid() -> None:
    one = marked()
    one.handle(c.StatusSeen(FINAL_ERROR), NOW)
    assert one.handle(c.MakerFound(TXID), NOW) == [c.Book("paid")]


def test_a_payment_that_another_transaction_made_is_not_made_again() -> None:
    one = marked()
    one.handle(c.StatusSeen(FINAL_ERROR), NOW)
    assert one.handle(c.MakerFound("other", failed=True), NOW) == [c.Book("returned")]
    assert "Another transaction" in str(one.error)


def test_unheard_of_needs_the_mark_to_be_missing() -> None:
    one = marked()
    one.handle(c.HeightSeen(LAST + 1, 901), NOW)
    assert one.handle(c.HistorySearched(None, 901), NOW) == [c.CheckMarker(MARK)]
    assert one.handle(c.MarkerSeen(exists=False, slot=900), NOW) == [], "that node lags behind"
    assert one.handle(c.MarkerSeen(exists=False, slot=901), NOW) == [c.Book("returned")]
    assert one.state == "expired"


@pytest.mark.parametrize(
    ("found", "booked", "state"),
    [
        (c.MakerFound(TXID), "paid", "finalized"),  # the history of transactions had a hole
        (c.MakerFound("other"), "returned", "failed"),
        (c.MakerFound(None), "returned", "expired"),  # somebody sent a lamport there
    ],
)
def test_unheard_of_and_marked(found: c.MakerFound, booked: str, state: str) -> None:
    one = marked()
    one.handle(c.HeightSeen(LAST + 1, 901), NOW)
    one.handle(c.HistorySearched(None, 901), NOW)
    assert one.handle(c.MarkerSeen(exists=True, slot=901), NOW) == [c.FindMaker(MARK, 901)]
    assert one.handle(found, NOW) == [c.Book(booked)]  # type: ignore[arg-type]
    assert one.state == state


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (c.HeightSeen(LAST + 1, 9), "expired"),
        (c.BlockhashGone(), "expired"),
        (c.Refused("no"), "failed"),
    ],
)
def test_unsigned_its_money_can_go_back_at_once(event: c.Event, state: str) -> None:
    one = claim()
    assert one.handle(event, NOW) == [c.Book("returned")]
    assert one.state == state
    one.validate_state()


def test_unsigned_it_expires_with_time() -> None:
    one = claim()
    assert one.handle(c.Ticked(), NOW + c.SIGN_WITHIN_S - 1) == []
    assert one.handle(c.Ticked(), NOW + c.SIGN_WITHIN_S) == [c.Book("returned")]


@pytest.mark.parametrize("event", [c.BlockhashGone(), c.Refused("no")])
def test_signed_no_simulation_gives_its_money_back(event: c.Event) -> None:
    one = signed()
    assert one.handle(event, NOW) == []
    assert one.state == "signed"


def test_it_is_never_co_signed_twice() -> None:
    one = signed()
    with pytest.raises(ValueError, match="twice"):
        one.handle(c.WalletSigned("other", b"other"), NOW)


def test_the_table_names_every_state_and_ends() -> None:
    states = set(get_args(c.State))
    assert c.TRANSITIONS.keys() == states
    assert {state for state, to in c.TRANSITIONS.items() if not to} == c.OVER
    assert set().union(*c.TRANSITIONS.values()) == states - {"reserved"}


STATUSES = st.none() | st.builds(
    Status,
    slot=st.integers(0, 1000),
    commitment=st.sampled_from(["processed", "confirmed", "finalized"]),
    error=st.none() | st.just("failed"),
)
EVENTS = st.one_of(
    st.just(c.Ticked()),
    st.builds(c.StatusSeen, STATUSES),
    st.builds(c.HeightSeen, st.integers(LAST - 2, LAST + 2), st.integers(0, 1000)),
    st.builds(c.HistorySearched, STATUSES, st.integers(0, 1000)),
    st.builds(c.MarkerSeen, st.booleans(), st.integers(0, 1000)),
    st.builds(c.MakerFound, st.sampled_from([None, TXID, "other"]), st.booleans()),
    st.builds(c.BroadcastFailed, st.just("busy")),
    st.builds(c.Refused, st.just("no")),
    st.just(c.BlockhashGone()),
)


@given(st.lists(EVENTS), st.integers(0, 30), st.sampled_from([None, MARK]))
def test_any_events_book_at_most_once_and_keep_the_rules(
    events: list[c.Event], at: int, mark: str | None
) -> None:
    one, booked, now = claim(seq=mark and 0, marker=mark), [], NOW
    for place, event in enumerate(events):
        if place == at and one.state == "reserved":
            one.handle(c.WalletSigned(TXID, SIGNED), now)
        now += 1
        before = one.state
        told = one.handle(event, now)
        booked += [each for each in told if isinstance(each, c.Book)]
        one.validate_state()
        assert one.state == before or one.state in c.TRANSITIONS[before]
        assert one.over == bool(booked)
        assert len(booked) <= 1
        if isinstance(event, c.StatusSeen | c.Ticked) and one.txid:
            assert one.state != "expired" or before == "expired"


class AgainstAChain(RuleBasedStateMachine):
    """A claim beside a chain that may drop, delay, fork and lag, but keeps Solana's promises:
    no transaction lands past its height, and what is final stays."""

    def __init__(self) -> None:
        super().__init__()
        self.claim = claim(seq=0, marker=MARK)
        self.height = LAST - 20
        self.final = LAST - 52
        self.sent = False
        self.landed: int | None = None
        self.outcome: str | None = None
        self.now = NOW
        self.searching = False
        self.asked: c.CheckMarker | c.FindMaker | None = None

    def tell(self, event: c.Event) -> None:
        for each in self.claim.handle(event, self.now):
            self.sent |= isinstance(each, c.Broadcast)
            self.searching |= isinstance(each, c.SearchHistory)
            if isinstance(each, c.CheckMarker | c.FindMaker):
                self.asked = each

    @rule()
    def sign(self) -> None:
        if self.claim.state == "reserved":
            self.tell(c.WalletSigned(TXID, SIGNED))

    @rule(seconds=st.integers(0, 3))
    def tick(self, seconds: int) -> None:
        self.now += seconds
        self.tell(c.Ticked())

    @rule(blocks=st.integers(1, 40))
    def grow(self, blocks: int) -> None:
        self.height += blocks
        self.final = max(self.final, self.height - 32)

    @precondition(lambda self: self.sent and self.landed is None and self.height <= LAST)
    @rule(ok=st.booleans())
    def land(self, ok: bool) -> None:
        self.landed, self.outcome = self.height, None if ok else "failed"

    @precondition(lambda self: self.landed is not None and self.landed > self.final)
    @rule()
    def fork(self) -> None:
        self.landed = None

    def known(self) -> Status | None:
        if self.landed is None:
            return None
        level = "finalized" if self.landed <= self.final else "confirmed"
        return Status(self.landed, level, self.outcome)  # type: ignore[arg-type]

    @rule(lost=st.booleans())
    def look(self, lost: bool) -> None:
        self.tell(c.StatusSeen(None if lost else self.known()))

    @rule()
    def see_height(self) -> None:
        self.tell(c.HeightSeen(self.final, self.final))

    @precondition(lambda self: self.searching)
    @rule(lagging=st.booleans())
    def search(self, lagging: bool) -> None:
        # A lagging node knows nothing and says where it stands.
        answer = (None, LAST - 100) if lagging else (self.known(), self.height)
        self.tell(c.HistorySearched(*answer))

    @precondition(lambda self: self.asked is not None)
    @rule(lagging=st.booleans())
    def answer_for_the_mark(self, lagging: bool) -> None:
        asked, self.asked = self.asked, None
        final = self.landed is not None and self.landed <= self.final
        paid = final and self.outcome is None
        if isinstance(asked, c.CheckMarker):
            old = lagging and (self.landed is None or self.landed > self.final - 20)
            slot = self.final - 20 if old else self.final
            self.tell(c.MarkerSeen(paid and not old, slot))
        elif self.final >= asked.slot:  # type: ignore[union-attr]
            failed = final and self.outcome is not None
            self.tell(c.MakerFound(TXID if paid else None, failed))

    @rule(lie=STATUSES)
    def lie(self, lie: Status | None) -> None:
        """Of one answer alone; it cannot be from a block that is not there."""
        if lie is None or lie.slot <= self.final:
            self.tell(c.StatusSeen(lie))

    @invariant()
    def books_agree_with_the_chain(self) -> None:
        self.claim.validate_state()
        final = self.landed is not None and self.landed <= self.final
        could_land = self.sent and self.landed is None and self.height <= LAST
        if self.claim.state == "finalized":
            assert final
            assert self.outcome is None
        if self.claim.state in ("failed", "expired"):
            assert not could_land, "the money went back and the transaction can still happen"
            assert self.landed is None or (final and self.outcome is not None)


AgainstAChain.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestAgainstAChain = AgainstAChain.TestCase


# --- payouts that the grid pushes ------------------------------------------------------------

PUSHED = c.Pushed(TXID, SIGNED, b"message", "hash", LAST)


def waiting(**fields: object) -> Claim:
    made = claim(push_fee=1, blockhash="", last_valid_height=0, seq=0, marker=MARK, **fields)
    made.expires_at = NOW + c.PUSH_WITHIN_S
    return made


def test_a_payout_waits_without_a_blockhash_until_the_grid_signs_it() -> None:
    one = waiting()
    assert (one.sent, one.transaction) == (4, None)
    assert one.handle(c.HeightSeen(10**9, 10**9), NOW) == []
    assert one.handle(c.BlockhashGone(), NOW) == []
    assert one.handle(c.Ticked(), NOW + c.SIGN_WITHIN_S) == []
    assert one.handle(PUSHED, NOW) == []
    assert (one.state, one.last_valid_height, one.message) == ("signed", LAST, b"message")
    assert one.handle(c.Ticked(), NOW) == [c.Broadcast(SIGNED), c.CheckStatus(TXID)]
    assert one.handle(c.HeightSeen(LAST + 1, 9), NOW) == [c.SearchHistory(TXID)]


def test_a_payout_is_signed_once_and_never_by_its_wallet() -> None:
    one = waiting()
    with pytest.raises(ValueError, match="twice"):
        one.handle(c.WalletSigned("other", b"other"), NOW)
    one.handle(PUSHED, NOW)
    with pytest.raises(ValueError, match="twice"):
        one.handle(PUSHED, NOW)
    with pytest.raises(ValueError, match="twice"):
        claim().handle(PUSHED, NOW)


def test_a_payout_that_nobody_signs_goes_back() -> None:
    one = waiting()
    assert one.handle(c.Ticked(), NOW + c.PUSH_WITHIN_S) == [c.Book("returned")]
    assert one.state == "expired"
    assert "in time" in str(one.error)
    refused = waiting()
    assert refused.handle(c.Refused("frozen"), NOW) == [c.Book("returned")]
    assert (refused.state, refused.error) == ("failed", "frozen")


@given(st.lists(EVENTS), st.integers(0, 30))
def test_any_events_book_a_payout_at_most_once(events: list[c.Event], at: int) -> None:
    one, booked, now = waiting(), 0, NOW
    for place, event in enumerate(events):
        if place == at and one.state == "reserved":
            one.handle(PUSHED, now)
        now += 1
        booked += sum(isinstance(each, c.Book) for each in one.handle(event, now))
        one.validate_state()
        assert one.over == bool(booked)
        assert booked <= 1
