"""Labels by the real model: what is refused, counted, answered and compared."""

from __future__ import annotations

import math
import re

import msgspec
import onnx.parser
import pytest

from tabgrid_models import catalogue
from tabgrid_models.connectors.base import InvalidInput, InvalidOutput
from tabgrid_models.connectors.classify import (
    MAX_CHARACTERS,
    MAX_LABELS,
    MAX_TEXTS,
    Classify,
    ClassifyInput,
    ClassifyOutput,
)
from tests.support.models import Progress, library, manifest, runtime

CLASSIFY = Classify()
MODEL = manifest("minilm-labels")
TOKENIZER = library().tokenizer(MODEL)
TOPICS = ("sport", "economy", "weather", "cooking")


async def classify(texts: tuple[str, ...], labels: tuple[str, ...]) -> ClassifyOutput:
    asked = ClassifyInput(texts, labels)
    CLASSIFY.validate(asked, MODEL)
    return await CLASSIFY.run(asked, MODEL, runtime(MODEL.id), Progress())


class TestRun:
    async def test_passes_its_golden_test(self) -> None:
        for input, wanted in catalogue.golden(MODEL):
            assert isinstance(input, ClassifyInput)
            output = await CLASSIFY.run(input, MODEL, runtime(MODEL.id), Progress())
            CLASSIFY.check(input, output, MODEL)
            assert CLASSIFY.compare(wanted, output, "q8").agrees

    @pytest.mark.parametrize(
        ("text", "topic"),
        [
            ("The goalkeeper saved a penalty in extra time.", "sport"),
            ("Inflation fell to two percent last month.", "economy"),
            ("Snow will fall in the mountains tonight.", "weather"),
            ("Let the dough rise, then bake it for an hour.", "cooking"),
        ],
    )
    async def test_puts_texts_under_their_topic(self, text: str, topic: str) -> None:
        (row,) = (await classify((text,), TOPICS)).scores
        assert TOPICS[row.index(max(row))] == topic

    async def test_an_answer_does_not_depend_on_its_neighbours(self) -> None:
        texts = ("rain", "a long text about bread " * 20, "goal", "x")
        together = await classify(texts, TOPICS)
        alone = [(await classify((text,), TOPICS)).scores[0] for text in texts]
        assert CLASSIFY.compare(ClassifyOutput(tuple(alone)), together, "q8").distance < 1e-5

    async def test_the_most_that_is_allowed_is_answered(self) -> None:
        labels = tuple(f"{index} {'word ' * 19}" for index in range(MAX_LABELS))
        output = await classify(("a " * (MAX_CHARACTERS // 2),) * 9, labels)
        CLASSIFY.check(ClassifyInput(("a",) * 9, labels), output, MODEL)

    async def test_an_owner_who_stops_is_heard_and_nothing_is_kept(self) -> None:
        def stop(done: int, total: int, stage: str = "", chunk: bytes = b"") -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            await CLASSIFY.run(ClassifyInput(("a",), ("b", "c")), MODEL, runtime(MODEL.id), stop)


@pytest.mark.parametrize(
    ("texts", "labels", "param"),
    [
        ((" \n",), TOPICS, "texts[0]"),
        (("fine", "half a pair: \ud83d"), TOPICS, "texts[1]"),
        (("fine",), ("a", " "), "labels[1]"),
        (("fine",), ("a", "b", "a"), "labels"),
    ],
)
def test_what_says_nothing_is_refused(
    texts: tuple[str, ...], labels: tuple[str, ...], param: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        CLASSIFY.validate(ClassifyInput(texts, labels), MODEL)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        ([], ["a", "b"]),
        (["a"], ["a"]),
        ([""], ["a", "b"]),
        (["a"], ["a", "x" * 101]),
        (["x" * (MAX_CHARACTERS + 1)], ["a", "b"]),
        (["a"] * (MAX_TEXTS + 1), ["a", "b"]),
        (["a"], [str(index) for index in range(MAX_LABELS + 1)]),
    ],
)
def test_types_alone_refuse_most(texts: list[str], labels: list[str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"texts": texts, "labels": labels}, ClassifyInput)


def test_tokens_of_labels_and_texts_are_counted_as_read() -> None:
    usage = CLASSIFY.usage(ClassifyInput(("hello",), ("hello world", "a")), MODEL, TOKENIZER)
    assert usage.units == 3 + 4 + 3
    long = CLASSIFY.usage(ClassifyInput(("hello " * 1000,), ("a", "b")), MODEL, TOKENIZER)
    assert long.units == 256 + 3 + 3


@pytest.mark.parametrize(
    "scores",
    [
        ((0.5, 0.5), (0.5, 0.5)),
        ((1.0,),),
        ((0.5, 0.6),),
        ((math.nan, 1.0),),
        ((1.5, -0.5),),
        ((math.inf, 0.0),),
        (),
    ],
)
def test_malformed_scores_are_refused(scores: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(InvalidOutput):
        CLASSIFY.check(ClassifyInput(("a",), ("b", "c")), ClassifyOutput(scores), MODEL)


@pytest.mark.parametrize(
    ("candidate", "agrees"),
    [
        (((0.2501, 0.7499),), True),
        (((0.26, 0.74),), False),
        (((math.nan, 0.75),), False),
        (((0.25, 0.5, 0.25),), False),
        ((), False),
    ],
)
def test_comparison(candidate: tuple[tuple[float, ...], ...], agrees: bool) -> None:
    reference = ClassifyOutput(((0.25, 0.75),))
    assert CLASSIFY.compare(reference, ClassifyOutput(candidate), "q8").agrees is agrees


def test_the_graph_is_the_one_that_its_card_shows() -> None:
    folder = library().folder_of(MODEL)
    found = re.search(r"```onnx\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert found
    made = onnx.parser.parse_model(found[1]).SerializeToString()
    assert made == (folder / "classify.onnx").read_bytes()
