"""Judges the shipped model that draws: python tests/bench/scenes.py [--sheet scenes.png]."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models/recipes")]

from scenes.prompts import held_out_prompts, judge, score  # noqa: E402
from tests.support.scenes import drawn  # noqa: E402

COLUMNS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, help="PNG with the pictures in the prompts' order")
    sheet = parser.parse_args().sheet
    prompts = held_out_prompts()
    started = time.monotonic()
    pictures = asyncio.run(drawn(prompts))
    seconds = (time.monotonic() - started) / len(prompts)
    verdicts = [judge(*pair) for pair in zip(prompts, pictures, strict=True)]
    reached = score(verdicts)
    print(
        f"main {reached.main:.1%}, number {reached.number:.1%}, relation {reached.relation:.1%}; "
        f"{seconds:.2f} s a picture"
    )
    judged = zip(prompts, verdicts, strict=True)
    wrong = [each.scene.things[each.said.main] for each, said in judged if not said.main]
    print("main things that were wrong:", dict(Counter(f"{t.size} {t.shape}" for t in wrong)))
    if sheet:
        rows = np.stack(pictures).reshape(-1, COLUMNS, 64, 64, 3).transpose(0, 2, 1, 3, 4)
        whole = Image.fromarray(rows.reshape(-1, COLUMNS * 64, 3))
        whole.quantize(128, dither=Image.Dither.NONE).save(sheet, optimize=True)


if __name__ == "__main__":
    main()
