"""The model that ships draws what it is asked for, as judged by the pixels."""

from __future__ import annotations

from scenes.prompts import held_out_prompts, judge, score
from tests.support import models
from tests.support.scenes import MODEL, drawn


async def test_held_out_prompts_become_what_they_say() -> None:
    """None of these combinations was trained. Drawn at 96 and 87 % when it was released; what is
    asked for is 90 and 75 %."""
    prompts = held_out_prompts()
    assert len(prompts) == 200
    pictures = await drawn(prompts)
    reached = score([judge(*pair) for pair in zip(prompts, pictures, strict=True)])
    assert reached.main >= 0.9, reached
    assert reached.relation >= 0.75, reached


def test_it_is_small_and_quick_to_draw() -> None:
    model = models.manifest(MODEL)
    assert sum(file.size for file in model.variants[0].files) <= 15_000_000
    assert model.config["default_steps"] <= 8
