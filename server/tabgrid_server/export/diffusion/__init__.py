"""Export of latent diffusion models (diffusers folders) for the connector ``text-to-image``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from tabgrid_models import catalogue
from tabgrid_models.drawing import TextToImageConfig
from tabgrid_models.manifest import Manifest, Variant

from ..recipe import Recipe, describe_file
from . import measure, source
from .card import changes, facts
from .family import INDEX, Family, inspect
from .original import Original
from .variants import Builder

__all__ = ["INDEX", "changes", "export", "facts", "inspect"]


def export(recipe: Recipe, folder_of_source: Path, folder: Path) -> Manifest:
    """Write graphs and tokeniser into ``folder``; returns the manifest, measured, not written."""
    family = inspect(folder_of_source, recipe.pictures)
    tokens, pads, end = source.write_tokenizer(folder_of_source, family, folder)
    with tempfile.TemporaryDirectory() as networks:
        source.export_networks(folder_of_source, Path(networks), recipe.opset)
        builder = Builder(recipe, family, Path(networks), folder, tokens, end)
        # Something to run with; the colours are fitted to the pictures that it draws.
        builder.write_preview(*measure.no_colours(family.channels))
        variants = tuple(builder.variants())
    manifest = Manifest(
        id=recipe.id,
        connector="text-to-image",
        title=recipe.title,
        description=recipe.description,
        licence=recipe.licence,
        source=recipe.source,
        config=msgspec.to_builtins(_config(family, tokens, pads)),
        variants=variants,
        shared=(describe_file(folder, folder / source.TOKENIZER),),
    )
    wanted = measure.inputs(manifest, recipe.pictures.prompts)
    builder.write_preview(*measure.fit_preview(manifest, folder, wanted))
    manifest = _with(manifest, *(builder.refreshed(variant) for variant in manifest.variants))
    return _measured(recipe, manifest, family, folder_of_source, folder)


def _config(family: Family, tokens: int, pads: tuple[int, ...]) -> TextToImageConfig:
    return TextToImageConfig(
        tokenizer=source.TOKENIZER,
        max_tokens=tokens,
        pad_ids=pads,
        latent_channels=family.channels,
        downscale=family.downscale,
        sizes=family.sizes,
        default_steps=family.steps,
        max_steps=family.max_steps,
        schedule=family.schedule,
        guided=family.guided,
        default_guidance=family.guidance,
        time_ids=family.time_ids,
    )


def _measured(
    recipe: Recipe, manifest: Manifest, family: Family, origin: Path, folder: Path
) -> Manifest:
    """The manifest with quality, memory and golden answers, of the variants that are right."""
    prompts = recipe.pictures.prompts
    wanted = measure.inputs(manifest, prompts)
    original = Original(origin, family)
    judged = []
    for variant in manifest.variants:
        found = measure.quality(manifest, variant, folder, original, wanted)
        judged.append(msgspec.structs.replace(variant, quality=found))
    del original
    manifest = _with(manifest, *judged)
    manifest = _right_ones(manifest, folder, prompts)
    manifest = _with(
        manifest, *(_with_memory(manifest, variant, folder) for variant in manifest.variants)
    )
    # Last: a picture says which manifest drew it.
    answer = measure.golden(manifest, folder, measure.golden_input(manifest, prompts))
    return msgspec.structs.replace(manifest, golden=(answer,))


def _right_ones(manifest: Manifest, folder: Path, prompts: tuple[str, ...]) -> Manifest:
    """Without the variants that would fail every device's self-test, and their files."""
    answer = measure.golden(manifest, folder, measure.golden_input(manifest, prompts))
    reasons = measure.failing(manifest, folder, answer)
    for id, reason in reasons.items():
        print(f"{manifest.id}: no variant {id}, since {reason}.")
    manifest = _with(
        manifest, *(variant for variant in manifest.variants if variant.id not in reasons)
    )
    kept = {
        file.path for variant in manifest.variants for file in catalogue.files(manifest, variant)
    }
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
    return manifest


def _with_memory(manifest: Manifest, variant: Variant, folder: Path) -> Variant:
    """``memory_mib`` is what the largest picture takes; each size's own is kept beside it."""
    found = measure.memory_mib(manifest, variant, folder)
    each = {f"memory_mib_{size}": float(mib) for size, mib in found.items()}
    return msgspec.structs.replace(
        variant, memory_mib=max(found.values()), quality=variant.quality | each
    )


def _with(manifest: Manifest, *variants: Variant) -> Manifest:
    return msgspec.structs.replace(manifest, variants=variants)
