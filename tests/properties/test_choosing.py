"""Which variant a device takes, over all that variants can turn out to be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tabgrid_node.choosing import EXPLORE_S, NOISE, Candidate, Trial, choose, next_try, time_left

#: A variant as it would turn out on this device: dtype, bytes to download, speed, seconds.
OUTCOMES = st.tuples(
    st.sampled_from(["fp16", "fp32", "q8", "q4"]),
    st.integers(0, 1_000),
    st.sampled_from([0.0, 0.5, 1.0, 1.05, 2.0, 50.0]),
    st.floats(0, 100),
)
DEVICES = st.lists(OUTCOMES, min_size=1, max_size=7)


def played(
    outcomes: list[tuple[str, int, float, float]], remembered: str = ""
) -> tuple[list[Candidate], list[Trial]]:
    """Try as ``next_try`` says until it says nothing."""
    candidates = [
        Candidate(str(at), dtype, missing) for at, (dtype, missing, _, _) in enumerate(outcomes)
    ]
    trials: list[Trial] = []
    while wanted := next_try(candidates, trials, remembered):
        assert len(trials) < len(outcomes), "it would never end"
        dtype, missing, speed, seconds = outcomes[int(wanted.id)]
        trials.append(Trial(wanted.id, dtype, speed, seconds, missing, wrong=not speed))
    return candidates, trials


@given(DEVICES)
def test_no_variant_is_tried_twice_and_one_that_is_right_is_found(
    outcomes: list[tuple[str, int, float, float]],
) -> None:
    _, trials = played(outcomes)
    tried = [trial.id for trial in trials]
    assert len(set(tried)) == len(tried)
    chosen = choose(trials)
    assert (chosen is not None) == any(speed for _, _, speed, _ in outcomes)
    if chosen is None:
        assert len(trials) == len(outcomes), "nobody is told no before all were tried"


@given(DEVICES)
def test_what_is_chosen_is_right_and_none_that_was_tried_is_clearly_faster(
    outcomes: list[tuple[str, int, float, float]],
) -> None:
    _, trials = played(outcomes)
    chosen = choose(trials)
    if chosen is not None:
        assert chosen.right
        assert all(trial.speed * (1 - NOISE) <= chosen.speed for trial in trials)


@given(DEVICES)
def test_looking_for_a_faster_one_downloads_no_more_than_the_first_right_one_did(
    outcomes: list[tuple[str, int, float, float]],
) -> None:
    _, trials = played(outcomes)
    first = next((at for at, trial in enumerate(trials) if trial.right), len(trials))
    extra = trials[first + 1 :]
    if extra:
        assert sum(trial.downloaded for trial in extra) <= trials[first].downloaded
        # Each is begun only with as much time left as the first one took.
        for at in range(len(extra)):
            spent = sum(trial.seconds for trial in extra[:at])
            assert spent + trials[first].seconds <= EXPLORE_S


@given(DEVICES, st.integers(0, 6))
def test_what_an_earlier_visit_chose_is_all_that_is_tried_while_it_is_right(
    outcomes: list[tuple[str, int, float, float]], at: int
) -> None:
    remembered = str(at % len(outcomes))
    _, trials = played(outcomes, remembered)
    assert trials[0].id == remembered
    if trials[0].right:
        assert [trial.id for trial in trials] == [remembered]


@given(DEVICES)
def test_a_dtype_that_computed_wrong_comes_last(
    outcomes: list[tuple[str, int, float, float]],
) -> None:
    candidates, trials = played(outcomes)
    for at, trial in enumerate(trials):
        before = trials[:at]
        wrong = {earlier.dtype for earlier in before if earlier.wrong}
        if not any(earlier.right for earlier in before) and trial.dtype in wrong:
            tried = {earlier.id for earlier in before}
            left = {c.dtype for c in candidates if c.id not in tried}
            assert left <= wrong


def test_the_order_of_the_manifest_decides_between_equals() -> None:
    candidates = [Candidate("a", "fp16", 5), Candidate("b", "q8", 5), Candidate("c", "q4", 0)]
    first = next_try(candidates, [])
    assert first == candidates[0]
    right = Trial("a", "fp16", 1.0, 10.0, 5)
    assert next_try(candidates, [right]) == candidates[2], "what is here already costs least"
    assert choose([right, Trial("b", "q8", 1.05, 1.0, 0)]) == right
    assert choose([right, Trial("b", "q8", 1.5, 1.0, 0)]) != right


def test_a_slow_device_begins_to_earn_with_what_it_has() -> None:
    slow = Trial("a", "fp32", 0.1, EXPLORE_S + 1, 0)
    assert next_try([Candidate("a", "fp32", 0), Candidate("b", "q8", 0)], [slow]) is None
    assert time_left([]) is None
    assert time_left([slow, Trial("b", "q8", 1.0, 20.0, 0)]) == EXPLORE_S - 20
