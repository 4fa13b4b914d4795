"""What README.md says of a model that draws."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tabgrid_models import catalogue
from tabgrid_models.drawing import TextToImageConfig
from tabgrid_models.manifest import Manifest

from ..recipe import Recipe
from .family import inspect

CHANGES = """Guidance, the sampler's step, the scaling of latents and the conversion to bytes are
nodes of the graphs, and a linear map from latents to colours was fitted for previews. Variants with
8 or 4 bits keep weights as integers with one scale per {block} values, which become float32
when a session opens; fp16 keeps norms, softmax and the sampler in float32.

| variant | download | memory | latents | pixels |
|---|---|---|---|---|
{rows}

Latents: relative L2 distance of the last ones to those of diffusers' own pipeline, with the
same noise. Pixels: root mean square of the difference of the pictures, in levels of 0 to 255.
Memory is what the largest size takes on a CPU.{replaced}{safety}
"""


def facts(manifest: Manifest) -> str:
    config = msgspec.convert(manifest.config, TextToImageConfig)
    guided = f"guided by {config.default_guidance:g}" if config.guided else "not guided"
    return (
        f"- Draws {', '.join(config.sizes)} pixels in {config.default_steps} steps, {guided}\n"
        f"- Reads at most {config.max_tokens} tokens of a prompt\n"
    )


def changes(recipe: Recipe, manifest: Manifest, source: Path) -> str:
    rows = [
        f"| {variant.id} | {catalogue.download_bytes(manifest, variant) / 1e6:.1f} MB "
        f"| {variant.memory_mib} MiB | {variant.quality['latents_l2']:g} "
        f"| {variant.quality['pixels_rms']:g} |"
        for variant in manifest.variants
    ]
    family = inspect(source, recipe.pictures)
    replaced = safety = ""
    if family.replaced:
        replaced = (
            f"\n\nIts own sampler, {family.replaced}, remembers more than the last step; "
            f"{family.schedule.kind} walks the same schedule here."
        )
    if (source / "safety_checker").is_dir():
        safety = "\n\nIts safety checker is not part of the export: nobody checks the pictures."
    return CHANGES.format(
        block=recipe.block, rows="\n".join(rows), replaced=replaced, safety=safety
    )
