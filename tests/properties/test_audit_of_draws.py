"""An honest grid's draws pass every rule; each lie about one of them breaks the rule it must."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, get_args

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tabgrid_server.api.schemas.checks import Check, Draws, GivenUp, WhyGivenUp
from tabgrid_server.api.schemas.receipts import Receipt
from tabgrid_server.coordinator.draws import FIRST_DAY
from tabgrid_server.coordinator.draws import Draws as Keeper
from tabgrid_server.proofs.audit import draws as rules
from tabgrid_server.proofs.audit import fates
from tabgrid_server.trust import ONE
from tabgrid_server.trust.draws import draw
from tabgrid_server.trust.policy import DAY
from tabgrid_wire.commitment import commit_hash
from tests.support.pages import RECEIPT

#: A chain of ten years is walked for each example: few of them do, and no deadline holds.
budget = settings(deadline=None, max_examples=30)

ALWAYS, LEAST = 3, 50_000
TODAY = 9


def published(keeper: Keeper) -> Draws:
    told = keeper.public(FIRST_DAY + TODAY * DAY + 1)
    return Draws(
        anchor=told.anchor.hex(), epoch=told.epoch, first_day=FIRST_DAY,
        commitment=told.commitment.hex(), revealed=told.revealed,
        secret=told.secret.hex() if told.secret else None, always=ALWAYS, least=LEAST,
        within_s=3_600.0,
    )  # fmt: skip


def receipts(keeper: Keeper, seed: bytes, count: int = 24) -> list[Receipt]:
    """As an honest coordinator writes them: two units, over all days up to today."""
    made: list[Receipt] = []
    for n in range(count):
        at = FIRST_DAY + DAY * (TODAY + 0.5) * n / (count - 1)
        job, nonce = f"job_{n}", sha256(seed + bytes([n])).digest()[:16]
        wallet, p = f"wallet-{n % 2}", ONE if n < 2 * ALWAYS else LEAST + 17_000 * n
        root = sha256(nonce).digest() if n % 4 == 3 else None
        commit = commit_hash(job, wallet, nonce, bytes.fromhex(RECEIPT.result_hash), root)
        day, secret = keeper.at(at)
        made.append(
            replace(
                RECEIPT, v=2, job=job, wallet=wallet, nonce=nonce.hex(), commit_hash=commit.hex(),
                settled_at=at, audited=draw(secret, commit) < p, audit_probability=p,
                draw_epoch=day, draw_commitment=sha256(secret).hexdigest(),
                trace_root=root.hex() if root else None,
            )
        )  # fmt: skip
    return made


def checks(found: list[Receipt]) -> list[Check]:
    return [
        Check(
            id=f"audit_{each.job}", job=each.job, purpose="audit", auditor="operator",
            device_class="cpu", comparator_version=1, distance=0.1, threshold=0.2, agreed=True,
            checked_at=each.settled_at, wallet=each.wallet,
        )
        for each in found
        if each.audited
    ]  # fmt: skip


def given_up(receipt: Receipt, why: Any = "late", purpose: str = "audit") -> GivenUp:
    at = receipt.settled_at
    return GivenUp(f"givenup_{receipt.job}", receipt.job, purpose, why, at, at + 3_600.0)


def broken(
    told: Draws, found: list[Receipt], made: list[Check], facts: Sequence[GivenUp] = ()
) -> dict[str, list[str]]:
    at = FIRST_DAY + (TODAY + 1) * DAY - 1
    drawn = fates.drawn_of(told, at, found, made, facts)
    each: dict[str, Any] = {
        "signed": rules.of_what_was_signed(found),
        "chain": rules.in_a_chain(told),
        "day": rules.of_its_day(told, found),
        "committed": rules.committed(told, found),
        "sure": rules.sure_enough(told, found),
        "drawn": rules.as_drawn(told, found),
        "checked": fates.missing(drawn),
        "few": fates.too_many(drawn),
        "others": rules.by_others(made),
        "consistent": rules.consistent(made),
    }
    said = {name: list(found) for name, found in each.items()}
    return {name: examples for name, examples in said.items() if examples}


@budget
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=1, max_size=8))
def test_an_honest_grid_breaks_no_rule(root: bytes, seed: bytes) -> None:
    keeper = Keeper(root)
    found = receipts(keeper, seed)
    assert broken(published(keeper), found, checks(found)) == {}
    counted = rules.summary(published(keeper), found)
    assert counted.recomputed == sum(each.draw_epoch != TODAY for each in found)
    assert counted.recomputed + counted.later == len(found)


#: Name of the rule -> what a dishonest operator writes instead.
LIES: dict[str, Callable[[Receipt], dict[str, Any]]] = {
    "signed": lambda r: {"commit_hash": sha256(r.commit_hash.encode()).hexdigest()},
    "drawn": lambda r: {"audited": not r.audited},
    "sure": lambda r: {"audit_probability": LEAST - 1},
    "day": lambda r: {"draw_epoch": (r.draw_epoch or 0) + 2, "settled_at": r.settled_at},
    "committed": lambda r: {"draw_commitment": sha256(b"another").hexdigest()},
}


@budget
@given(st.sampled_from(sorted(LIES)), st.data())
def test_each_lie_in_a_receipt_is_found(rule: str, data: st.DataObject) -> None:
    keeper = Keeper(bytes(range(32)))
    found = receipts(keeper, data.draw(st.binary(min_size=1, max_size=4)))
    past = [n for n, each in enumerate(found) if each.draw_epoch != TODAY]
    place = data.draw(st.sampled_from(past))
    honest = checks(found)
    lie = found[place] = replace(found[place], **LIES[rule](found[place]))
    said = broken(published(keeper), found, honest)
    assert rule in said, said
    assert any(lie.job in each for each in said[rule])


@budget
@given(st.data())
def test_a_probability_that_the_draw_contradicts_is_found(data: st.DataObject) -> None:
    """Raised or lowered across the draw, which only the secret's owner could know."""
    keeper = Keeper(data.draw(st.binary(min_size=32, max_size=32)))
    found = receipts(keeper, b"p")
    past = [n for n, each in enumerate(found) if each.draw_epoch != TODAY]
    place = data.draw(st.sampled_from(past))
    drawn = draw(keeper.at(found[place].settled_at)[1], bytes.fromhex(found[place].commit_hash))
    other = data.draw(
        st.integers(0, drawn) if found[place].audited else st.integers(drawn + 1, ONE)
    )
    found[place] = replace(found[place], audit_probability=other)
    assert "drawn" in broken(published(keeper), found, checks(found))


@budget
@given(st.data())
def test_a_drawn_answer_that_nobody_checked_is_found(data: st.DataObject) -> None:
    keeper = Keeper(bytes(32))
    found = receipts(keeper, data.draw(st.binary(min_size=1, max_size=4)))
    made = checks(found)
    past = [each for each in made if each.checked_at < FIRST_DAY + TODAY * DAY]
    gone = data.draw(st.sampled_from(past))
    assert broken(published(keeper), found, [each for each in made if each is not gone]) == {
        "checked": [gone.job]
    }


@budget
@given(st.data())
def test_what_is_given_up_in_public_is_told_and_not_missing(data: st.DataObject) -> None:
    keeper = Keeper(bytes(32))
    found = receipts(keeper, data.draw(st.binary(min_size=1, max_size=4)))
    told, made = published(keeper), checks(found)
    past = [each for each in found if each.audited and each.draw_epoch != TODAY]
    lost = data.draw(st.sampled_from(past))
    why = data.draw(st.sampled_from(get_args(WhyGivenUp)))
    left = [each for each in made if each.job != lost.job]
    assert broken(told, found, left, [given_up(lost, why)]) == {}
    drawn = fates.drawn_of(told, told.first_day, found, left, [given_up(lost, why)])
    assert list(fates.given_up(drawn)) == [f"{lost.job}: {why}"]
    # It was run again after all, or its pay was taken back: there is nothing to tell.
    (check,) = [each for each in made if each.job == lost.job]
    differs = [*left, replace(check, distance=0.3, agreed=False)]
    for said, void in ((made, ()), (differs, (lost.job,))):
        drawn = fates.drawn_of(told, 0.0, found, said, [given_up(lost, why)], void)
        assert list(fates.given_up(drawn)) == []


@budget
@given(st.data())
def test_one_reference_that_differs_is_no_check_while_no_second_one_spoke(
    data: st.DataObject,
) -> None:
    keeper = Keeper(bytes(32))
    found = receipts(keeper, data.draw(st.binary(min_size=1, max_size=4)))
    told, made = published(keeper), checks(found)
    # Two hours to spare: the first has one, the second has another.
    old = FIRST_DAY + TODAY * DAY - 3 * 3_600.0
    past = [n for n, each in enumerate(made) if each.checked_at < old]
    place = data.draw(st.sampled_from(past))
    made[place] = replace(made[place], distance=0.3, agreed=False)
    (lost,) = [each for each in found if each.job == made[place].job]
    assert broken(told, found, made) == {"checked": [lost.job]}
    assert broken(told, found, made, [given_up(lost, purpose="second")]) == {}
    second = replace(made[place], id="audit_z", purpose="second", checked_at=lost.settled_at + 9)
    assert broken(told, found, [*made, second]) == {}
    stranger = replace(second, wallet="another node's answer to the same job")
    assert "checked" in broken(told, found, [*made, stranger])


@pytest.mark.parametrize(
    ("lost", "whose", "said"),
    [
        (9, "ann", 0),  # a wallet's first half hour
        (10, "ann", 1),  # one wallet's, of many
        (100, "many", 0),
        (101, "many", 1),
    ],
)
def test_too_many_are_given_up_of_all_or_of_one(lost: int, whose: str, said: int) -> None:
    def drawn(n: int, fate: fates.Fate) -> fates.Drawn:
        wallet = "ann" if whose == "ann" and n < 20 else f"wallet-{n}"
        return fates.Drawn(replace(RECEIPT, job=f"job_{n}", wallet=wallet), fate, "late")

    made = [drawn(n, "given up" if n < lost else "checked") for n in range(1_000)]
    waiting = [drawn(n, "waiting") for n in range(1_000, 9_000)]
    assert len(list(fates.too_many([*made, *waiting]))) == said


@budget
@given(st.binary(min_size=32, max_size=32))
def test_another_chain_of_secrets_is_found(other: bytes) -> None:
    assume(other != bytes(32))
    keeper, liar = Keeper(bytes(32)), Keeper(other)
    found = receipts(keeper, b"c")
    said = broken(published(liar), found, checks(found))
    assert len(said["committed"]) == len(found), "its own anchor is right, no receipt knows it"
    mixed = replace(published(keeper), secret=published(liar).secret)
    assert "chain" in broken(mixed, found, checks(found))


def test_a_secret_of_yesterday_cannot_decide_today() -> None:
    """It is public: a node that knows the operator would know what is checked."""
    keeper = Keeper(bytes(32))
    (last,) = receipts(keeper, b"y")[-1:]
    assert last.draw_epoch == TODAY
    old = replace(last, draw_epoch=TODAY - 1, draw_commitment=None)
    assert list(rules.of_its_day(published(keeper), [old]))
    midnight = replace(old, settled_at=FIRST_DAY + TODAY * DAY + 5)
    assert list(rules.of_its_day(published(keeper), [midnight])) == [], "it came before midnight"


@budget
@given(
    st.builds(
        Draws,
        anchor=st.text(max_size=70), epoch=st.integers(-(2**53), 2**53), first_day=st.floats(),
        commitment=st.text(max_size=70),
        revealed=st.none() | st.integers(-(2**53), 2**53),
        secret=st.none() | st.text(max_size=70) | st.just("ab" * 32),
        always=st.integers(0, 99), least=st.integers(-1, 2**20),
    ),
    st.lists(st.tuples(st.text(max_size=70), st.none() | st.integers(-(2**53), 2**53)), max_size=3),
)  # fmt: skip
def test_nonsense_ends_in_a_verdict(told: Draws, odd: list[tuple[str, int | None]]) -> None:
    found = [
        replace(RECEIPT, commit_hash=text, nonce=text, draw_epoch=day, audit_probability=day)
        for text, day in odd
    ]
    broken(told, found, [])
    rules.summary(told, found)


def test_an_own_check_and_a_verdict_against_its_figures_are_found() -> None:
    keeper = Keeper(bytes(32))
    made = checks(receipts(keeper, b"o"))
    assert list(rules.by_others([replace(made[0], auditor=made[0].wallet)]))
    assert list(rules.consistent([replace(made[0], distance=0.3)]))
    assert list(rules.consistent([replace(made[0], agreed=False)]))
