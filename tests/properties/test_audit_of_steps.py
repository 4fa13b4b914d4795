"""Honest checks of a picture's steps pass; each other choice of steps is found."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tabgrid_models import trace
from tabgrid_server.api.schemas.checks import Check, CheckPart
from tabgrid_server.api.schemas.receipts import Receipt
from tabgrid_server.coordinator.draws import FIRST_DAY
from tabgrid_server.coordinator.draws import Draws as Keeper
from tabgrid_server.proofs.audit import steps
from tabgrid_server.trust.draws import draw_steps
from tabgrid_server.trust.policy import DAY
from tests.properties.test_audit_of_draws import TODAY, budget, published
from tests.support.pages import RECEIPT

KEEPER = Keeper(bytes(range(32)))
TOLD = published(KEEPER)
#: Bytes of latents of 64x64, 512x512 and 1024x1024 pixels: of the last, two are drawn at most
#: whatever a fifth would be.
sizes = st.sampled_from([1_024, 65_536, 262_144])


def receipt(job: str, stretches: int, size: int, day: int = 3) -> Receipt:
    commit = sha256(job.encode()).hexdigest()
    return replace(
        RECEIPT, v=4, job=job, commit_hash=commit, draw_epoch=day, audited=True,
        audit_probability=1_000_000, settled_at=FIRST_DAY + day * DAY + 9.0,
        trace_root="ab" * 32, trace_leaves=stretches + 1, trace_size=size,
    )  # fmt: skip


def drawn(of: Receipt) -> tuple[int, ...]:
    """As an honest coordinator does it, from what it has in hand."""
    assert of.draw_epoch is not None
    assert of.trace_leaves is not None
    assert of.trace_size is not None
    stretches = of.trace_leaves - 1
    _, secret = KEEPER.at(FIRST_DAY + of.draw_epoch * DAY + 1)
    count = trace.drawn(stretches, of.trace_size)
    return draw_steps(secret, bytes.fromhex(of.commit_hash), stretches, count)


def check(of: Receipt, places: tuple[int, ...], purpose: str = "audit") -> Check:
    parts = (
        CheckPart("noise", None, 0.0, 1e-6),
        *(CheckPart(f"step {at + 1}", at, 1e-4, 1e-3) for at in places),
        CheckPart("picture", None, 1.0, 4.5),
    )
    return Check(
        id=f"audit_{of.job}", job=of.job, purpose=purpose, auditor="operator", device_class="cpu",
        comparator_version=1, distance=1.0, threshold=4.5, agreed=True, checked_at=of.settled_at,
        wallet=of.wallet, method="steps", part="picture", parts=parts,
    )  # fmt: skip


def broken(of: Receipt, made: Check, before: tuple[Receipt, ...] = ()) -> list[str]:
    return [*steps.as_drawn(TOLD, [*before, of], [made]), *steps.complete([made])]


@budget
@given(st.text("abc", min_size=1), st.integers(1, 60), sizes)
def test_honest_checks_pass(job: str, stretches: int, size: int) -> None:
    of = receipt(job, stretches, size)
    assert broken(of, check(of, drawn(of))) == []
    everything = tuple(range(stretches))
    assert broken(of, check(of, everything, "delivery")) == []
    # A whole answer that was computed again is more than its steps.
    assert broken(of, replace(check(of, ()), method="rerun", parts=())) == []


@budget
@given(st.text("abc", min_size=1), st.integers(3, 60), sizes, st.data())
def test_any_other_choice_is_found(
    job: str, stretches: int, size: int, data: st.DataObject
) -> None:
    of = receipt(job, stretches, size)
    other = data.draw(st.sets(st.integers(0, stretches - 1)).map(sorted).map(tuple))
    assume(other != drawn(of))
    (said,) = steps.as_drawn(TOLD, [of], [check(of, other)])
    assert said.startswith(f"{job}: stretches ")
    delivery = check(of, other, "delivery")
    assert bool(broken(of, delivery)) == (other != tuple(range(stretches)))


def test_steps_are_counted_as_people_do() -> None:
    of = receipt("job_1", 8, 1_024)
    places = drawn(of)
    (said,) = steps.as_drawn(TOLD, [of], [check(of, (7,))])
    first, second = (place + 1 for place in places)
    assert said == f"job_1: stretches 8 instead of {first}, {second}"


def test_of_a_day_that_is_not_over_nothing_can_be_said() -> None:
    of = receipt("job_1", 8, 1_024, day=TODAY)
    assert broken(of, check(of, (0, 1))) == []
    assert broken(of, check(of, (0, 1), "delivery")), "all steps are all steps today too"


@pytest.mark.parametrize(
    "changes",
    [
        {"trace_root": None},
        {"trace_leaves": None},
        {"trace_leaves": 1},
        {"trace_leaves": 10**9},
        {"trace_size": 0},
        {"trace_size": None},
    ],
)
def test_a_receipt_that_leaves_out_what_decides_is_found(changes: dict[str, object]) -> None:
    of = receipt("job_1", 8, 1_024)
    (said,) = broken(replace(of, **changes), check(of, drawn(of)))
    assert "committed to no steps" in said


def test_whoever_began_to_tell_the_steps_goes_on() -> None:
    of = receipt("job_1", 8, 1_024)
    untold = replace(check(of, ()), parts=())
    old = replace(of, v=3, trace_size=None)
    assert broken(old, untold) == [], "before, nobody told them"
    assert broken(of, untold)
    assert broken(old, untold, (receipt("job_0", 8, 1_024),)), "an older version is no way out"


def test_a_check_goes_by_its_worst_part_and_leaves_none_out() -> None:
    of = receipt("job_1", 8, 1_024)
    made = check(of, drawn(of))
    assert broken(of, replace(made, parts=made.parts[1:])) == ["job_1 leaves out noise"]
    assert "picture" in broken(of, replace(made, parts=made.parts[:-1]))[0]
    worse = replace(made.parts[1], distance=0.5)
    (said,) = broken(of, replace(made, parts=(made.parts[0], worse, *made.parts[2:])))
    assert "furthest from right" in said


@settings(budget)
@given(
    st.integers(-(2**53), 2**53), st.integers(-(2**53), 2**53),
    st.lists(st.builds(CheckPart, st.text(max_size=9), st.none() | st.integers(), st.floats(),
                       st.floats()), max_size=4),
)  # fmt: skip
def test_nonsense_ends_in_a_verdict(leaves: int, size: int, parts: list[CheckPart]) -> None:
    of = replace(receipt("job_1", 8, 1_024), trace_leaves=leaves, trace_size=size)
    broken(of, replace(check(of, ()), parts=tuple(parts)))
