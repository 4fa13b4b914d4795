"""Export of a sentence-transformers model for the connector ``embeddings``."""

from __future__ import annotations

import asyncio
import json
import math
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import onnx

from tabgrid_models import catalogue
from tabgrid_models.connectors import connector
from tabgrid_models.connectors.embeddings import MAX_PADDED_TOKENS, EmbeddingsInput
from tabgrid_models.manifest import Golden, Manifest, Variant
from tabgrid_models.runtime import quiet

from . import ExportError, corpus, graph, memory, shards, weights
from .native import NativeRuntime
from .recipe import Recipe, describe_file

#: What an export must keep of its original, or it is refused.
COSINE_MIN = 0.995
TOKENIZER = "tokenizer.json"

#: Short, so that a slow device joins soon; of several lengths in one, so that its padding is
#: proved too.
GOLDEN = (
    ("The cat sits outside.",),
    ("Wie spät ist es? 🕰️",),
    ("你好世界",),
    (".",),
    ("Claim your reward.", "A tab in a browser can run a neural network.", "grid"),
)


CHANGES = """\
Pooling and normalising are part of the graph. Matrices are stored as 8-bit integers with one
scale per {block} values and become float32 when a session opens, so every backend computes in
float32. On {texts} texts in many languages, some nearly empty and some longer than the model
reads, the cosine to the original's vectors is at least {cosine_min} and {cosine_mean} on average.
"""


class Original(msgspec.Struct, frozen=True):
    """What the source folder says about itself."""

    dimensions: int
    max_tokens: int
    pooling: graph.Pooling


def export(recipe: Recipe, source: Path, folder: Path) -> Manifest:
    """Write graph and tokeniser into ``folder``; returns the manifest, measured, not written."""
    original = inspect(source, recipe.max_tokens)
    model = _encoder(source, recipe.opset)
    graph.finish(model, original.pooling, original.dimensions)
    weights.quantise(model, recipe.block)
    files = shards.save(model, folder, "model-q8")
    _write_tokenizer(source, folder)
    manifest = Manifest(
        id=recipe.id,
        connector="embeddings",
        title=recipe.title,
        description=recipe.description,
        licence=recipe.licence,
        source=recipe.source,
        config={
            "dimensions": original.dimensions,
            "max_tokens": original.max_tokens,
            "tokenizer": TOKENIZER,
        },
        variants=(
            Variant(
                id="q8",
                dtype="q8",
                graphs={"model": "model-q8.onnx"},
                files=tuple(describe_file(folder, file) for file in files),
                memory_mib=0,
            ),
        ),
        shared=(describe_file(folder, folder / TOKENIZER),),
    )
    return _measured(manifest, source, folder)


def inspect(source: Path, max_tokens: int = 0) -> Original:
    """Read the folder's own description. Raises ``ExportError`` for what is not supported."""
    modules = [module["type"].rsplit(".", 1)[-1] for module in _json(source / "modules.json")]
    if modules not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ExportError(
            f"{source} is a pipeline of {', '.join(modules)}; only Transformer, Pooling and "
            "Normalize are supported."
        )
    pooling = _json(source / "1_Pooling" / "config.json")
    modes = [name for name, value in pooling.items() if name.startswith("pooling_mode_") and value]
    known: dict[str, graph.Pooling] = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
    }
    if len(modes) != 1 or modes[0] not in known:
        raise ExportError(f"{source} pools by {', '.join(modes)}; only mean and cls are supported.")
    told = _json(source / "sentence_bert_config.json").get("max_seq_length")
    limit = max_tokens or told
    if not limit:
        raise ExportError(f"{source} does not say how many tokens it reads; pass --max-tokens.")
    return Original(pooling["word_embedding_dimension"], limit, known[modes[0]])


def facts(manifest: Manifest) -> str:
    return (
        f"- Dimensions: {manifest.config['dimensions']}\n"
        f"- Reads at most {manifest.config['max_tokens']} tokens of a text\n"
        f"- Download: {catalogue.download_bytes(manifest, manifest.variants[0]) / 1e6:.1f} MB; "
        f"memory: about {manifest.variants[0].memory_mib} MiB\n"
    )


def changes(recipe: Recipe, manifest: Manifest) -> str:
    quality = manifest.variants[0].quality
    return CHANGES.format(
        block=recipe.block,
        texts=round(quality["texts"]),
        cosine_min=quality["cosine_min"],
        cosine_mean=quality["cosine_mean"],
    )


def reference(source: Path, texts: Sequence[str], max_tokens: int) -> list[list[float]]:
    """Unit vectors of the original, by sentence-transformers in float32."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(source), device="cpu")
    model.max_seq_length = max_tokens
    rows = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
    return [list(map(float, row)) for row in rows]


def answer(runtime: NativeRuntime, manifest: Manifest, texts: Sequence[str]) -> Any:
    """The connector's own answer, by the code that every node runs."""
    run = connector("embeddings").run
    return asyncio.run(run(EmbeddingsInput(tuple(texts)), manifest, runtime, quiet))


def cosines(manifest: Manifest, folder: Path, texts: Sequence[str], rows: Any) -> list[float]:
    """Cosine of each text's vector to the row that it should be."""
    runtime = NativeRuntime(manifest, manifest.variants[0], folder)
    output = answer(runtime, manifest, texts)
    found = struct.iter_unpack(f"<{output.dims}f", output.embeddings)
    return [1 - math.dist(one, other) ** 2 / 2 for one, other in zip(found, rows, strict=True)]


def _measured(manifest: Manifest, source: Path, folder: Path) -> Manifest:
    """The manifest with quality, memory and golden answers. Raises if quality is too low."""
    limit = manifest.config["max_tokens"]
    texts = corpus.texts(limit)
    found = cosines(manifest, folder, texts, reference(source, texts, limit))
    if min(found) < COSINE_MIN:
        worst = texts[found.index(min(found))]
        raise ExportError(
            f"Cosine to the original is {min(found):.4f} for {worst[:40]!r}, and must be "
            f"{COSINE_MIN}: try a smaller block."
        )
    quality = {
        "cosine_min": round(min(found), 5),
        "cosine_mean": round(sum(found) / len(found), 5),
        "texts": len(found),
    }
    variant = msgspec.structs.replace(
        manifest.variants[0], quality=quality, memory_mib=_memory_mib(manifest, folder)
    )
    manifest = msgspec.structs.replace(manifest, variants=(variant,))
    return msgspec.structs.replace(manifest, golden=_golden(manifest, folder))


def _golden(manifest: Manifest, folder: Path) -> tuple[Golden, ...]:
    runtime = NativeRuntime(manifest, manifest.variants[0], folder)
    return tuple(
        Golden({"texts": list(texts)}, msgspec.to_builtins(answer(runtime, manifest, texts)))
        for texts in GOLDEN
    )


def _memory_mib(manifest: Manifest, folder: Path) -> int:
    """What the largest micro-batch needs."""
    limit = manifest.config["max_tokens"]
    full = EmbeddingsInput(("grid " * limit,) * (MAX_PADDED_TOKENS // limit))
    return memory.measure(manifest, manifest.variants[0], folder, full)


def _encoder(source: Path, opset: int) -> onnx.ModelProto:
    from optimum.exporters.onnx import main_export

    with tempfile.TemporaryDirectory() as folder:
        main_export(
            str(source),
            output=folder,
            task="feature-extraction",
            opset=opset,
            library_name="transformers",
            device="cpu",
        )
        return onnx.load(Path(folder) / "model.onnx")


def _write_tokenizer(source: Path, folder: Path) -> None:
    """The tokeniser without the padding and truncation that somebody left in it.

    How much is read and how rows are padded is the connector's business, and not every
    reader of these files can switch it off.
    """
    tokenizer = _json(source / "tokenizer.json")
    tokenizer["padding"] = tokenizer["truncation"] = None
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    (folder / TOKENIZER).write_text(text, encoding="utf-8")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ExportError(
            f"{path} is missing; only folders of sentence-transformers can be added."
        ) from error
