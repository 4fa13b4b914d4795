"""The connector with the real model: what it refuses, counts, answers and compares."""

from __future__ import annotations

import math
import struct

import msgspec
import pytest

from tabgrid_models import catalogue
from tabgrid_models.connectors.base import InvalidInput, InvalidOutput
from tabgrid_models.connectors.embeddings import (
    MAX_BYTES,
    MAX_CHARACTERS,
    MAX_PADDED_TOKENS,
    MAX_TEXTS,
    Embeddings,
    EmbeddingsInput,
    EmbeddingsOutput,
    micro_batches,
)
from tests.support.models import Progress, library, manifest, runtime

EMBEDDINGS = Embeddings()
MODEL = manifest("all-MiniLM-L6-v2")
TOKENIZER = library().tokenizer(MODEL)
FLOAT32_MAX = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]


async def embed(*texts: str) -> EmbeddingsOutput:
    return await EMBEDDINGS.run(EmbeddingsInput(texts), MODEL, runtime(MODEL.id), Progress())


def unit(*places: int) -> bytes:
    """Rows with a single 1 each."""
    rows = ([float(at == place) for at in range(384)] for place in places)
    return b"".join(struct.pack("<384f", *row) for row in rows)


class TestValidate:
    @pytest.mark.parametrize(
        ("texts", "param"),
        [
            ((), "texts"),
            (("a",) * (MAX_TEXTS + 1), "texts"),
            (("a", ""), "texts[1]"),
            (("x" * (MAX_CHARACTERS + 1),), "texts[0]"),
            (("ok", "half a pair: \ud83d"), "texts[1]"),
            (("x" * MAX_CHARACTERS,) * (MAX_BYTES // MAX_CHARACTERS + 1), "texts"),
            (("界" * MAX_CHARACTERS,) * (MAX_BYTES // MAX_CHARACTERS // 3 + 1), "texts"),
        ],
    )
    def test_refuses_and_names_the_field(self, texts: tuple[str, ...], param: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            EMBEDDINGS.validate(EmbeddingsInput(texts), MODEL)
        assert refused.value.param == param

    @pytest.mark.parametrize(
        "texts",
        [
            (" ",),
            ("\0",),
            ("a",) * MAX_TEXTS,
            ("x" * MAX_CHARACTERS,) * (MAX_BYTES // MAX_CHARACTERS),
        ],
    )
    def test_takes_what_is_within_the_limits(self, texts: tuple[str, ...]) -> None:
        EMBEDDINGS.validate(EmbeddingsInput(texts), MODEL)
        encoded = msgspec.msgpack.encode(EmbeddingsInput(texts))
        assert msgspec.msgpack.decode(encoded, type=EmbeddingsInput).texts == texts

    @pytest.mark.parametrize(
        "raw", [{}, {"texts": []}, {"texts": [""]}, {"texts": [[1, 2]]}, {"texts": ["a"], "x": 1}]
    )
    def test_types_alone_refuse_most(self, raw: object) -> None:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(raw, EmbeddingsInput)


class TestUsage:
    def test_counts_special_tokens_as_the_model_reads_them(self) -> None:
        usage = EMBEDDINGS.usage(EmbeddingsInput(("hello world", " ")), MODEL, TOKENIZER)
        assert usage.units == 4 + 2
        assert usage.details == {"prompt_tokens": 6, "total_tokens": 6}

    def test_says_how_many_texts_were_cut(self) -> None:
        fits, longer = "grid " * 254, "grid " * 255
        usage = EMBEDDINGS.usage(EmbeddingsInput((fits, longer, "a")), MODEL, TOKENIZER)
        assert usage.details == {
            "prompt_tokens": 256 + 256 + 3,
            "total_tokens": 256 + 256 + 3,
            "truncated_texts": 1,
        }

    def test_needs_a_tokenizer(self) -> None:
        with pytest.raises(LookupError):
            EMBEDDINGS.usage(EmbeddingsInput(("a",)), MODEL, None)


class TestCheck:
    INPUT = EmbeddingsInput(("a", "b"))

    def test_accepts_unit_rows(self) -> None:
        EMBEDDINGS.check(self.INPUT, EmbeddingsOutput(unit(0, 383), 384), MODEL)

    @pytest.mark.parametrize(
        "output",
        [
            EmbeddingsOutput(b"", 384),
            EmbeddingsOutput(unit(0), 384),
            EmbeddingsOutput(unit(0, 1, 2), 384),
            EmbeddingsOutput(unit(0, 1)[:-1], 384),
            EmbeddingsOutput(unit(0, 1), 192),
            EmbeddingsOutput(bytes(2 * 4 * 384), 384),
            EmbeddingsOutput(unit(0) + struct.pack("<384f", *[math.nan] * 384), 384),
            EmbeddingsOutput(unit(0) + struct.pack("<384f", math.inf, *[0.0] * 383), 384),
            EmbeddingsOutput(unit(0) + struct.pack("<384f", *[FLOAT32_MAX] * 384), 384),
            EmbeddingsOutput(unit(0) + struct.pack("<384f", 1.01, *[0.0] * 383), 384),
        ],
        ids=[
            "empty", "short", "long", "cut", "dims", "zero", "nan", "infinite", "huge", "scaled",
        ],
    )  # fmt: skip
    def test_refuses(self, output: EmbeddingsOutput) -> None:
        with pytest.raises(InvalidOutput):
            EMBEDDINGS.check(self.INPUT, output, MODEL)


class TestRun:
    async def test_answers_the_golden_inputs(self) -> None:
        for input, wanted in catalogue.golden(MODEL):
            assert isinstance(input, EmbeddingsInput)
            assert isinstance(wanted, EmbeddingsOutput)
            output = await embed(*input.texts)
            EMBEDDINGS.check(input, output, MODEL)
            assert EMBEDDINGS.compare(wanted, output, "q8").agrees

    async def test_alike_is_nearer_than_unlike(self) -> None:
        output = await embed("A cat sits outside.", "There is a cat outdoors.", "Rates rose.")
        rows = list(struct.iter_unpack("<384f", output.embeddings))
        assert math.dist(rows[0], rows[1]) < 0.8 < math.dist(rows[0], rows[2])

    async def test_a_text_longer_than_is_read_equals_its_beginning(self) -> None:
        output = await embed("grid " * 254, "grid " * 300 + "something else")
        rows = list(struct.iter_unpack("<384f", output.embeddings))
        assert math.dist(*rows) < 1e-3

    async def test_padding_changes_nothing(self) -> None:
        short = "One grid."
        alone, padded = await embed(short), await embed(short, "grid " * 30)
        first = EmbeddingsOutput(padded.embeddings[: 4 * 384], 384)
        assert EMBEDDINGS.compare(alone, first, "q8").distance < 1e-9

    async def test_a_full_batch_reports_progress_to_its_end(self) -> None:
        texts = tuple(f"text number {number}" for number in range(MAX_TEXTS))
        progress = Progress()
        input = EmbeddingsInput(texts)
        output = await EMBEDDINGS.run(input, MODEL, runtime(MODEL.id), progress)
        EMBEDDINGS.check(input, output, MODEL)
        assert progress.said[-1] == (MAX_TEXTS, MAX_TEXTS)
        assert progress.said == sorted(progress.said)


class TestMicroBatches:
    def test_equal_lengths_fill_the_budget(self) -> None:
        batches = list(micro_batches([256] * 20))
        assert [len(batch) for batch in batches] == [8, 8, 4]
        assert MAX_PADDED_TOKENS == 8 * 256

    def test_a_long_text_does_not_pad_many_short_ones(self) -> None:
        assert list(micro_batches([5] * 10 + [256])) == [[10], list(range(10))]

    def test_few_short_texts_are_not_worth_another_call(self) -> None:
        assert len(list(micro_batches([4, 9, 12, 7]))) == 1

    def test_a_text_over_the_budget_goes_alone(self) -> None:
        assert list(micro_batches([300, 300], budget=256)) == [[0], [1]]

    def test_no_texts_need_no_batch(self) -> None:
        assert list(micro_batches([])) == []


class TestCompare:
    def test_distance_is_one_less_the_smallest_cosine(self) -> None:
        same, other = EmbeddingsOutput(unit(0, 1), 384), EmbeddingsOutput(unit(0, 2), 384)
        assert EMBEDDINGS.compare(same, same, "q8").distance == 0
        compared = EMBEDDINGS.compare(same, other, "q8")
        assert compared.distance == pytest.approx(1.0)
        assert not compared.agrees

    def test_another_shape_is_infinitely_far(self) -> None:
        two, one = EmbeddingsOutput(unit(0, 1), 384), EmbeddingsOutput(unit(0), 384)
        assert EMBEDDINGS.compare(two, one, "fp32").distance == math.inf
        assert not EMBEDDINGS.compare(two, one, "fp32").agrees

    def test_what_is_not_a_number_never_agrees(self) -> None:
        bad = EmbeddingsOutput(unit(0) + struct.pack("<384f", *[math.nan] * 384), 384)
        assert not EMBEDDINGS.compare(EmbeddingsOutput(unit(0, 1), 384), bad, "fp32").agrees

    @pytest.mark.parametrize(
        ("dtype", "least"), [("fp32", 0.9999), ("fp16", 0.999), ("q8", 0.99999)]
    )
    def test_thresholds(self, dtype: str, least: float) -> None:
        one = EmbeddingsOutput(unit(0), 384)
        assert EMBEDDINGS.compare(one, one, dtype).threshold == pytest.approx(1 - least)
