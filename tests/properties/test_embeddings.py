"""Any batch gives each text its own answer, and no damaged answer passes for one."""

from __future__ import annotations

import asyncio
import functools
import struct

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tabgrid_models.connectors.base import InvalidInput, InvalidOutput
from tabgrid_models.connectors.embeddings import (
    CALL_TOKENS,
    Embeddings,
    EmbeddingsInput,
    EmbeddingsOutput,
    micro_batches,
)
from tests.support.models import Progress, library, manifest, runtime

EMBEDDINGS = Embeddings()
MODEL = manifest("all-MiniLM-L6-v2")
TOKENIZER = library().tokenizer(MODEL)
DIMS = 384
ROW = 4 * DIMS

#: Few alphabets and short: an answer takes milliseconds per token here.
texts = st.text(min_size=1, max_size=40)
words = st.lists(st.sampled_from(["grid", "tab", "Überfall", "世界", "😀", "."]), min_size=1)
batches = st.lists(texts | words.map(" ".join), min_size=1, max_size=12)


def embed(batch: tuple[str, ...]) -> EmbeddingsOutput:
    running = EMBEDDINGS.run(EmbeddingsInput(batch), MODEL, runtime(MODEL.id), Progress())
    return asyncio.run(running)


@functools.cache
def good() -> tuple[EmbeddingsInput, EmbeddingsOutput]:
    batch = ("One.", "Two texts.", "And three of them.")
    return EmbeddingsInput(batch), embed(batch)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches, st.randoms(use_true_random=False))
def test_neither_company_nor_order_changes_an_answer(batch: list[str], random: object) -> None:
    shuffled = list(range(len(batch)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    together = embed(tuple(batch[index] for index in shuffled))
    EMBEDDINGS.check(EmbeddingsInput(tuple(batch)), together, MODEL)
    for place, index in enumerate(shuffled):
        alone = embed((batch[index],))
        row = EmbeddingsOutput(together.embeddings[place * ROW : (place + 1) * ROW], DIMS)
        assert EMBEDDINGS.compare(alone, row, "q8").distance < 1e-9


@given(batches)
def test_what_validates_can_be_counted(batch: list[str]) -> None:
    input = EmbeddingsInput(tuple(batch))
    try:
        EMBEDDINGS.validate(input, MODEL)
    except InvalidInput:
        return
    usage = EMBEDDINGS.usage(input, MODEL, TOKENIZER)
    assert 2 * len(batch) <= usage.units <= 256 * len(batch)


@given(st.lists(st.integers(min_value=0, max_value=300), max_size=256), st.integers(1, 4096))
def test_micro_batches_hold_every_text_once_within_the_budget(
    lengths: list[int], budget: int
) -> None:
    made = list(micro_batches(lengths, budget))
    assert sorted(index for batch in made for index in batch) == list(range(len(lengths)))
    for batch in made:
        width = max(lengths[index] for index in batch)
        assert len(batch) == 1 or width * len(batch) <= budget
        waste = sum(width - lengths[index] for index in batch)
        # Each cut is made where the rest would waste more than a call; what stays is less
        # than that for every row that was let in.
        assert waste <= CALL_TOKENS * len(batch)


@given(st.integers(min_value=0, max_value=3 * ROW - 1))
def test_no_truncation_passes(size: int) -> None:
    input, output = good()
    with pytest.raises(InvalidOutput):
        EMBEDDINGS.check(input, EmbeddingsOutput(output.embeddings[:size], DIMS), MODEL)


@given(
    st.integers(min_value=0, max_value=3 * DIMS - 1),
    st.sampled_from([float("nan"), float("inf"), float("-inf"), 3e38, 2.0]),
)
def test_no_number_that_is_not_one_passes(place: int, value: float) -> None:
    input, output = good()
    data = bytearray(output.embeddings)
    struct.pack_into("<f", data, 4 * place, value)
    bad = EmbeddingsOutput(bytes(data), DIMS)
    with pytest.raises(InvalidOutput):
        EMBEDDINGS.check(input, bad, MODEL)
    assert not EMBEDDINGS.compare(output, bad, "q8").agrees


@example(row=0, scale=0.0)
@example(row=2, scale=1.01)
@given(
    st.integers(min_value=0, max_value=2),
    st.floats(min_value=-100, max_value=0.99) | st.floats(min_value=1.01, max_value=100),
)
def test_no_scaled_row_passes(row: int, scale: float) -> None:
    input, output = good()
    if abs(abs(scale) - 1) < 5e-3:
        scale = 0.5
    rows = [list(values) for values in struct.iter_unpack(f"<{DIMS}f", output.embeddings)]
    rows[row] = [value * scale for value in rows[row]]
    data = b"".join(struct.pack(f"<{DIMS}f", *values) for values in rows)
    with pytest.raises(InvalidOutput):
        EMBEDDINGS.check(input, EmbeddingsOutput(data, DIMS), MODEL)


@given(st.permutations([0, 1, 2]))
def test_answers_in_another_order_do_not_agree(order: list[int]) -> None:
    _, output = good()
    rows = [output.embeddings[at * ROW : (at + 1) * ROW] for at in order]
    other = EmbeddingsOutput(b"".join(rows), DIMS)
    assert EMBEDDINGS.compare(output, other, "q8").agrees == (order == [0, 1, 2])


@given(st.binary(max_size=64))
def test_no_bytes_from_a_node_crash_the_check(data: bytes) -> None:
    input, _ = good()
    with pytest.raises(InvalidOutput):
        EMBEDDINGS.check(input, EmbeddingsOutput(data, DIMS), MODEL)
