"""Of three RPCs one says anything at all: what they say together is true all the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tabgrid_server.chain import agreement
from tabgrid_server.chain.agreement import MALFORMED, Disagreement, majority, rule_for

FINALITY = 32
SLOTS = st.integers(0, 120)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["context", "slot", "value", "err"]), inner)
    ),
)
ERRORS = st.sampled_from([None, {"InstructionError": [5, {"Custom": 1}]}, "BlockhashNotFound"])
STATUS = st.fixed_dictionaries(
    {
        "slot": SLOTS,
        "err": ERRORS,
        "confirmations": st.none() | st.integers(0, 31),
        "confirmationStatus": st.sampled_from(["processed", "confirmed", "finalized", None]),
    }
)
LIED_STATUSES = st.builds(
    lambda slot, value: {"context": {"slot": slot}, "value": [value]},
    st.integers(0, 2**63),
    st.none() | STATUS,
)
HEADS = st.tuples(SLOTS, SLOTS)
LANDED = st.none() | SLOTS


def honest_status(head: int, landed: int | None, error: Any) -> Any:
    value = None
    if landed is not None and landed <= head:
        final = landed <= head - FINALITY
        level = "finalized" if final else "confirmed"
        value = {"slot": landed, "err": error, "confirmationStatus": level, "confirmations": 1}
    return {"context": {"slot": head}, "value": [value]}


@given(HEADS, LANDED, ERRORS, LIED_STATUSES, st.permutations(range(3)))
def test_what_is_final_or_missing_is_so(
    heads: tuple[int, int], landed: int | None, error: Any, lie: Any, order: list[int]
) -> None:
    told = [honest_status(head, landed, error) for head in heads]
    answers = [[*told, lie][place] for place in order]
    found = agreement.statuses(answers, 2, 1).result
    (value,), slot = found["value"], found["context"]["slot"]
    assert slot <= max(heads)
    if value is None:
        assert landed is None or landed > slot
    elif value["confirmationStatus"] == "finalized":
        assert landed is not None
        assert landed <= max(heads) - FINALITY
        assert (value["slot"], value["err"]) == (landed, error)


@given(HEADS, LANDED, ERRORS)
def test_honest_ones_that_stand_together_are_enough(
    heads: tuple[int, int], landed: int | None, error: Any
) -> None:
    """A third that is silent, lies or lags stops nothing: what both know is what comes out."""
    head = max(heads)
    for third in (
        honest_status(0, landed, error),
        {"context": {"slot": 2**62}, "value": [None]},
        {"context": {"slot": 0}, "value": [None]},
    ):
        same = honest_status(head, landed, error)
        (value,) = agreement.statuses([same, third, same], 2, 1).result["value"]
        (wanted,) = same["value"]
        if wanted is None:
            assert value is None
        else:
            assert value["confirmationStatus"] in (wanted["confirmationStatus"], "processed")
            if wanted["confirmationStatus"] == "finalized":
                assert (value["slot"], value["err"]) == (landed, error)


@given(HEADS, st.integers(0, 2**63), st.integers(0, 2**63), st.permutations(range(3)))
def test_no_height_is_believed_that_no_honest_one_has(
    heads: tuple[int, int], height: int, slot: int, order: list[int]
) -> None:
    def told(height: int, slot: int) -> dict[str, int]:
        more = {"epoch": 0, "slotIndex": 0, "slotsInEpoch": 1}
        return {"blockHeight": height, "absoluteSlot": slot, **more}

    all_three = [*(told(head, head) for head in heads), told(height, slot)]
    found = agreement.height([all_three[place] for place in order], 2).result
    for name in ("blockHeight", "absoluteSlot"):
        assert min(heads) <= found[name] <= max(heads)


ACCOUNT = {"lamports": 890_880, "owner": "1" * 32, "data": ["", "base64"], "executable": False}


@given(HEADS, LANDED, st.integers(0, 2**63), st.booleans(), st.permutations(range(3)))
def test_a_mark_is_there_or_not_as_an_honest_one_has_it(
    heads: tuple[int, int], landed: int | None, slot: int, lie: bool, order: list[int]
) -> None:
    def told(slot: int, exists: bool) -> Any:
        return {"context": {"slot": slot}, "value": [ACCOUNT if exists else None]}

    there = [landed is not None and landed <= head for head in heads]
    three = [*map(told, heads, there), told(slot, lie)]
    try:
        found = agreement.accounts([three[place] for place in order], 2, 1).result
    except Disagreement:
        assert there[0] != there[1] or slot >= min(heads)
        return
    if found["value"][0] is None:
        assert landed is None or landed > found["context"]["slot"]
    else:
        assert landed is not None
        assert landed <= max(heads)


@given(
    st.lists(st.integers(0, 8), unique=True),
    st.sets(st.integers(0, 8)),
    st.lists(st.integers(0, 12), unique=True),
    st.integers(0, 12),
    st.booleans(),
    st.permutations(range(3)),
)
def test_a_history_is_of_what_honest_ones_know(
    known: list[int],
    unknown: set[int],
    lie: list[int],
    lied_final: int,
    silent: bool,
    order: list[int],
) -> None:
    """One honest RPC has not got all of it yet. Nothing that both have is ever left out."""

    honest_final = 4

    def rows(slots: list[int], final: int = honest_final) -> list[Any]:
        newest = sorted(slots, reverse=True)
        level = {0: "finalized", 1: "confirmed"}
        return [
            {"signature": f"s{slot}", "slot": slot, "err": None, "confirmationStatus": level[n]}
            for slot in newest
            for n in [int(slot > final)]
        ]

    both = [slot for slot in known if slot not in unknown]
    three = [rows(known), rows(both), rows(lie, lied_final)]
    answers = [three[place] for place in order if not (silent and place == 1)]
    try:
        found = agreement.signatures(answers, 2, 1_000).result
    except Disagreement:
        return
    slots = [row["slot"] for row in found]
    assert set(slots) <= set(known)
    assert set(both) <= set(slots)
    assert slots == sorted(slots, reverse=True)
    final = [row["slot"] for row in found if row["confirmationStatus"] == "finalized"]
    assert all(slot <= honest_final for slot in final)


@given(HEADS, st.integers(0, 2**63), st.permutations(range(3)))
def test_a_blockhash_is_never_said_to_die_before_it_does(
    heads: tuple[int, int], end: int, order: list[int]
) -> None:
    """Honest ones stand at most ``APART`` apart; the liar's own hash is any that lived."""
    first = heads[0]
    second = min(first + heads[1] % agreement.APART, 120)

    def told(name: str, last: int) -> Any:
        return {
            "context": {"slot": 1},
            "value": {"blockhash": name, "lastValidBlockHeight": last},
        }

    three = [
        told("a", first + 150),
        told("b", second + 150),
        told("liar", end),
    ]
    value = agreement.blockhash([three[place] for place in order], 2).result["value"]
    alive_until = {"a": first + 150, "b": second + 150, "liar": max(first, second) + 150}
    assert value["lastValidBlockHeight"] >= alive_until[value["blockhash"]]
    assert value["lastValidBlockHeight"] <= max(first, second) + 150 + 150 + agreement.APART


@given(st.sampled_from(["a", "b"]), ANYTHING)
def test_anything_else_is_a_disagreement_or_malformed(true: str, lie: Any) -> None:
    requests = [
        {"method": "getSignatureStatuses", "params": [["s"]]},
        {"method": "getMultipleAccounts", "params": [["s"], {"commitment": "finalized"}]},
        {"method": "getAccountInfo", "params": ["s", {}]},
        {"method": "getEpochInfo", "params": []},
        {"method": "getTransaction", "params": ["s"]},
        {"method": "getSignaturesForAddress", "params": ["s"]},
        {"method": "getLatestBlockhash", "params": []},
        {"method": "getGenesisHash", "params": []},
    ]
    for request in requests:
        rule = rule_for(request)
        assert rule is not None
        try:
            rule([lie], 1)
            rule([lie, lie, lie], 2)
        except (Disagreement, *MALFORMED):
            pass
    assert agreement.identity([true, true, lie], 2).result == true


def test_only_what_is_final_needs_a_majority() -> None:
    confirmed = {"commitment": "confirmed"}
    for method in ("getAccountInfo", "getEpochInfo", "getTransaction"):
        assert rule_for({"method": method, "params": ["x", confirmed]}) is None
        assert rule_for({"method": method, "params": ["x"]}) is not None
    assert rule_for({"method": "simulateTransaction", "params": ["x"]}) is None
    assert [majority(count) for count in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]
