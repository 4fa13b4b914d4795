"""The connector on a model of a few nodes: what it refuses, counts, draws and compares."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tabgrid_models import png
from tabgrid_models.connectors.base import InvalidInput, InvalidOutput
from tabgrid_models.connectors.text_to_image import THRESHOLDS, TextToImage
from tabgrid_models.drawing import (
    MAX_PROMPT,
    MAX_SEED,
    TextToImageConfig,
    TextToImageInput,
    TextToImageOutput,
    drawing,
)
from tabgrid_models.manifest import Manifest
from tabgrid_models.runtime import Runtime
from tests.support import pictures
from tests.support.counted import Counted
from tests.support.models import Progress

DRAWS = TextToImage()
RED = TextToImageInput("a red ball")


class Model:
    def __init__(self, folder: Path, **config: Any) -> None:
        self.manifest = pictures.build(folder, **config)
        self.runtime = pictures.native(self.manifest, folder / pictures.ID)

    async def draw(self, runtime: Runtime | None = None, **input: Any) -> TextToImageOutput:
        asked = TextToImageInput(**{"prompt": "a red ball", **input})
        DRAWS.validate(asked, self.manifest)
        output = await DRAWS.run(asked, self.manifest, runtime or self.runtime, Progress())
        DRAWS.check(asked, output, self.manifest)
        return output


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(tmp_path_factory.mktemp("guided"))


@pytest.fixture(scope="module")
def unguided(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(tmp_path_factory.mktemp("unguided"), guided=False, schedule={"kind": "lcm"})


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """SDXL's shape: two text encoders, a pooled state, and sizes that the network is told."""
    folder = tmp_path_factory.mktemp("xl")
    return Model(folder, time_ids=True, schedule={"kind": "ddim", "steps_offset": 1})


def manifest(**config: Any) -> Manifest:
    """A manifest without files: enough for everything but drawing."""
    schedule = {"kind": "euler", "spacing": "trailing"}
    merged = {**pictures.CONFIG, "pad_ids": [0], "guided": True, "schedule": schedule, **config}
    return Manifest("m", "text-to-image", "", "", "", "", merged, ())


def far(one: TextToImageOutput, other: TextToImageOutput) -> float:
    return DRAWS.compare(one, other, "fp32").distance


class TestValidate:
    @pytest.mark.parametrize(
        ("input", "param"),
        [
            ({"prompt": ""}, "prompt"),
            ({"prompt": " \n\t "}, "prompt"),
            ({"prompt": "x" * (MAX_PROMPT + 1)}, "prompt"),
            ({"prompt": "a\0b"}, "prompt"),
            ({"prompt": "\x1b[31mred"}, "prompt"),
            ({"prompt": "half a pair \ud83d"}, "prompt"),
            ({"negative_prompt": "\x7f"}, "negative_prompt"),
            ({"negative_prompt": "x" * (MAX_PROMPT + 1)}, "negative_prompt"),
            ({"seed": -1}, "seed"),
            ({"seed": MAX_SEED + 1}, "seed"),
            ({"steps": -1}, "steps"),
            ({"steps": 21}, "steps"),
            ({"width": 32}, "width"),
            ({"height": 32}, "width"),
            ({"width": 32, "height": 64}, "width"),
            ({"width": 64, "height": 64}, "width"),
            ({"guidance": -0.1}, "guidance"),
            ({"guidance": 30.1}, "guidance"),
            ({"guidance": math.nan}, "guidance"),
            ({"guidance": math.inf}, "guidance"),
        ],
    )
    def test_refuses_and_names_the_field(self, input: dict[str, Any], param: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            DRAWS.validate(TextToImageInput(**{"prompt": "a", **input}), manifest())
        assert refused.value.param == param

    @pytest.mark.parametrize(
        "input",
        [
            {"prompt": "x" * MAX_PROMPT},
            {"prompt": "🎲🎲🎲"},
            {"prompt": "כדור אדום על שולחן"},
            {"prompt": "two\nlines\tand a tab"},
            {"prompt": "<script>alert(1)</script>"},
            {"width": 64, "height": 32, "seed": MAX_SEED, "steps": 20, "guidance": 0.0},
        ],
    )
    def test_takes_what_is_within_the_limits(self, input: dict[str, Any]) -> None:
        asked = TextToImageInput(**{"prompt": "a", **input})
        DRAWS.validate(asked, manifest())
        packed = msgspec.msgpack.encode(asked)
        assert msgspec.msgpack.decode(packed, type=TextToImageInput) == asked

    def test_an_unguided_model_takes_no_guidance(self) -> None:
        with pytest.raises(InvalidInput, match="not guided"):
            DRAWS.validate(TextToImageInput("a", guidance=1.0), manifest(guided=False))

    @pytest.mark.parametrize(
        "raw",
        [
            {},
            {"prompt": ""},
            {"prompt": "a", "seed": 2**32},
            {"prompt": "a", "seed": 1.5},
            {"prompt": "a", "width": 4096},
            {"prompt": "a", "n": 2},
        ],
    )
    def test_types_alone_refuse_most(self, raw: dict[str, Any]) -> None:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(raw, TextToImageInput)


class TestConfig:
    @pytest.mark.parametrize(
        "config",
        [
            {"sizes": []},
            {"sizes": ["64"]},
            {"sizes": ["64x60"]},
            {"sizes": ["64x4096"]},
            {"sizes": ["0x64"]},
            {"default_steps": 21},
            {"max_steps": 151},
            {"max_steps": 51, "schedule": {"kind": "lcm"}},
            {"pad_ids": []},
            {"pad_ids": [1, 2, 3]},
            {"tokenizer": "../secret"},
            {"schedule": {"kind": "euler", "karras": True}},
            {"clip_skip": 2},
        ],
    )
    def test_refuses_what_no_picture_can_come_of(self, config: dict[str, Any]) -> None:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(manifest(**config).config, TextToImageConfig)


class TestUsage:
    @pytest.mark.parametrize(
        ("size", "steps", "units"),
        [("64x64", 4, 4), ("32x32", 4, 4), ("72x64", 4, 8), ("512x512", 20, 1280)],
    )
    def test_counts_tiles_times_steps(self, size: str, steps: int, units: int) -> None:
        width, height = map(int, size.split("x"))
        asked = TextToImageInput("a", steps=steps, width=width, height=height)
        usage = DRAWS.usage(asked, manifest(sizes=[size]), None)
        assert usage.units == units
        assert usage.details == {"steps": steps, "pixels": width * height}

    def test_defaults_cost_what_they_are(self) -> None:
        assert DRAWS.usage(RED, manifest(), None).units == 4

    def test_says_where_a_prompt_is_cut(self, model: Model) -> None:
        tokenizer = model.runtime.tokenizer()
        assert "truncated_texts" not in DRAWS.usage(RED, model.manifest, tokenizer).details
        long = TextToImageInput("ball " * 11)
        assert DRAWS.usage(long, model.manifest, tokenizer).details["truncated_texts"] == 1


class TestRun:
    async def test_everything_that_is_asked_for_changes_the_picture(self, model: Model) -> None:
        plain = await model.draw()
        assert far(plain, await model.draw()) == 0
        others: list[dict[str, Any]] = [
            {"prompt": "a red box"},
            {"negative_prompt": "ball"},
            {"seed": 1},
            {"steps": 5},
            {"guidance": 3.0},
        ]
        for other in others:
            assert far(plain, await model.draw(**other)) > THRESHOLDS["fp32"], other
        wide = await model.draw(width=64, height=32)
        assert (wide.width, wide.height) == (64, 32)
        assert far(plain, wide) == math.inf

    async def test_defaults_are_the_models(self, model: Model) -> None:
        spelled = await model.draw(steps=4, width=32, height=32, guidance=7.5)
        assert far(await model.draw(), spelled) == 0

    async def test_a_prompt_longer_than_is_read_equals_its_beginning(self, model: Model) -> None:
        one, other = await model.draw(prompt="ball " * 10), await model.draw(prompt="ball " * 300)
        assert far(one, other) == 0

    async def test_lcm_puts_noise_back(self, unguided: Model) -> None:
        counted = Counted(unguided.runtime)
        await unguided.draw(counted, steps=4)
        assert counted.alive == 0
        assert far(await unguided.draw(steps=4), await unguided.draw(steps=3)) > 0

    async def test_two_encoders_are_fed_and_the_size_is_told(self, xl: Model) -> None:
        counted = Counted(xl.runtime)
        square = await xl.draw(counted)
        assert counted.alive == 0
        assert far(square, await xl.draw(prompt="a red box")) > THRESHOLDS["fp32"]
        assert (await xl.draw(width=64, height=32)).width == 64

    async def test_reports_every_step_and_shows_some(self, model: Model) -> None:
        shown: list[tuple[int, int, bool]] = []

        def emit(done: int, total: int, stage: str = "", chunk: bytes = b"") -> None:
            shown.append((done, total, bool(chunk)))
            if chunk:
                picture = png.decode(chunk, 64)
                assert (picture.width, picture.height) == (4, 4)
                assert picture.text == {}

        await DRAWS.run(TextToImageInput("a", steps=6), model.manifest, model.runtime, emit)
        assert [done for done, _, _ in shown] == list(range(7))
        assert [done for done, _, chunk in shown if chunk] == [2, 4]
        shown.clear()
        await DRAWS.run(TextToImageInput("a", steps=1), model.manifest, model.runtime, emit)
        assert [chunk for _, _, chunk in shown] == [False, False]

    async def test_no_more_tensors_live_in_a_long_run_than_in_a_short_one(
        self, model: Model
    ) -> None:
        short, long = Counted(model.runtime), Counted(model.runtime)
        await model.draw(short, steps=2)
        await model.draw(long, steps=20)
        assert short.alive == long.alive == 0
        assert short.most == long.most
        assert long.ran.count("step") == 20
        assert long.ran.count("text") == long.ran.count("decode") == 1
        assert long.ran.count("preview") == 9

    @pytest.mark.parametrize("at", [0, 1, 3, 4])
    async def test_a_cancel_ends_it_within_a_step_and_leaves_nothing(
        self, model: Model, at: int
    ) -> None:
        class Stopped(Exception):
            pass

        def emit(done: int, total: int, stage: str = "", chunk: bytes = b"") -> None:
            if done == at:
                raise Stopped

        counted = Counted(model.runtime)
        with pytest.raises(Stopped):
            await DRAWS.run(RED, model.manifest, counted, emit)
        assert counted.ran.count("step") == at
        assert "decode" not in counted.ran
        assert counted.alive == 0

    @pytest.mark.parametrize("graph", ["text", "step", "preview", "decode"])
    async def test_a_device_that_fails_leaves_nothing(self, model: Model, graph: str) -> None:
        class Failing(Counted):
            async def run(self, name: str, feeds: Any) -> Any:
                if name == graph:
                    raise MemoryError
                return await super().run(name, feeds)

        counted = Failing(model.runtime)
        with pytest.raises(MemoryError):
            await DRAWS.run(RED, model.manifest, counted, Progress())
        assert counted.alive == 0


class TestCheck:
    @pytest.fixture(scope="class")
    @classmethod
    def good(cls) -> tuple[Manifest, TextToImageOutput]:
        model = manifest()
        return model, cls.output(model)

    @staticmethod
    def output(model: Manifest, **changes: Any) -> TextToImageOutput:
        wanted = drawing(RED, msgspec.convert(model.config, TextToImageConfig))
        made = {"width": 32, "height": 32, "rgba": bytes(range(256)) * 16, **changes}
        texts = changes.get("texts", wanted.texts(model))
        image = png.encode(made["width"], made["height"], made["rgba"], texts)
        return TextToImageOutput(image, 32, 32, 0)

    def test_accepts_a_picture(self, good: tuple[Manifest, TextToImageOutput]) -> None:
        model, output = good
        DRAWS.check(RED, output, model)

    def test_the_picture_tells_how_it_was_made(
        self, good: tuple[Manifest, TextToImageOutput]
    ) -> None:
        model, output = good
        assert png.decode(output.image, 1024).text == {
            "Software": "Tabgrid",
            "prompt": "a red ball",
            "negative_prompt": "",
            "seed": "0",
            "steps": "4",
            "guidance": "7.5",
            "size": "32x32",
            "model": "m",
            "model_digest": model.digest(),
        }

    def test_refuses(self, good: tuple[Manifest, TextToImageOutput]) -> None:
        model, output = good
        texts = png.decode(output.image, 1024).text
        replaced = msgspec.structs.replace
        bad = {
            "another width": replaced(output, width=64),
            "another seed": replaced(output, seed=1),
            "nothing": replaced(output, image=b""),
            "a longer file": replaced(output, image=output.image + b"\0"),
            "another size inside": self.output(model, width=64, height=16),
            "a larger one inside": self.output(model, width=64, rgba=bytes(range(256)) * 32),
            "blank": self.output(model, rgba=b"\x10\x20\x30\xff" * 1024),
            "black": self.output(model, rgba=bytes(4096)),
            "another prompt": self.output(model, texts={**texts, "prompt": "a blue ball"}),
            "an advertisement": self.output(model, texts={**texts, "Comment": "buy"}),
            "no texts": self.output(model, texts={}),
            "texts in another order": self.output(model, texts=dict(reversed(texts.items()))),
        }
        for candidate in bad.values():
            with pytest.raises(InvalidOutput):
                DRAWS.check(RED, candidate, model)


class TestCompare:
    @staticmethod
    def flat(level: int, width: int = 32) -> TextToImageOutput:
        image = png.encode(width, 32, bytes([level]) * (4 * 32 * width), {})
        return TextToImageOutput(image, width, 32, 0)

    def test_distance_is_the_root_of_the_mean_square(self) -> None:
        assert DRAWS.compare(self.flat(10), self.flat(13), "fp32").distance == pytest.approx(3)
        half = TextToImageOutput(
            png.encode(32, 32, bytes([10] * 2048 + [16] * 2048), {}), 32, 32, 0
        )
        assert far(self.flat(10), half) == pytest.approx(6 / math.sqrt(2))

    def test_fp32s_threshold_is_35_decibels(self) -> None:
        threshold = DRAWS.compare(self.flat(10), self.flat(10), "fp32").threshold
        assert 20 * math.log10(255 / threshold) == pytest.approx(35, abs=0.1)

    def test_another_size_or_no_picture_never_agrees(self) -> None:
        broken = TextToImageOutput(b"", 32, 32, 0)
        for other in (self.flat(10, width=64), self.flat(10, width=16), broken):
            assert far(self.flat(10), other) == math.inf
            assert not DRAWS.compare(self.flat(10), other, "fp16").agrees
