"""A latent diffusion model of a few kilobytes, as a library folder that any host can load."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import onnx
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from tabgrid_models import catalogue
from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageInput
from tabgrid_models.manifest import File, Golden, Manifest, Variant
from tabgrid_node.native_runtime import NativeRuntime
from tests.support import tiny_graphs
from tests.support.elsewhere import elsewhere
from tests.support.models import Progress

ID = "tiny-pictures"
GRAPHS = ("text", "step", "decode", "preview")
START, END = "<|startoftext|>", "<|endoftext|>"
#: As CLIP cuts text into words.
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
MERGES = [("r", "e"), ("re", "d</w>"), ("b", "a"), ("l", "l</w>"), ("ba", "ll</w>")]
CONFIG: dict[str, Any] = {
    "tokenizer": "tokenizer.json",
    "max_tokens": tiny_graphs.TOKENS,
    "latent_channels": tiny_graphs.CHANNELS,
    "downscale": tiny_graphs.SCALE,
    "sizes": ["32x32", "64x32"],
    "default_steps": 4,
    "max_steps": 20,
}
GOLDEN = TextToImageInput("a red ball", seed=11)


def build(
    library: Path,
    work: int = 0,
    id: str = ID,
    memory_mib: int = 16,
    sharded: bool = False,
    **config: Any,
) -> Manifest:
    """Write the model's folder into ``library``. ``config`` overrides ``CONFIG``.

    ``work`` makes each step slow: 6 ms on WASM for one, 100 ms on SwiftShader. ``sharded``:
    the weights of each graph lie beside it, as those of large models do.
    """
    folder = library / id
    folder.mkdir(parents=True)
    tokenizer = clip_tokenizer()
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    end = tokenizer.token_to_id(END)
    two = config.get("time_ids", False)
    merged = {
        **CONFIG,
        "pad_ids": [end, 0] if two else [end],
        "schedule": {"kind": "euler", "spacing": "trailing"},
        "guided": True,
        **config,
    }
    for name, data in graphs(tokenizer, merged, work).items():
        _save(data, folder / f"{name}.onnx", sharded)
    manifest = _manifest(folder, merged, memory_mib)
    manifest = with_golden(manifest, native(manifest, folder))
    (folder / "manifest.json").write_bytes(manifest.canonical())
    catalogue.validate(manifest)
    return manifest


def with_golden(manifest: Manifest, runtime: NativeRuntime) -> Manifest:
    """What ``runtime`` draws is what is right."""
    drawing = TextToImage().run(GOLDEN, manifest, runtime, Progress())
    drawn = elsewhere(drawing)
    golden = Golden(msgspec.to_builtins(GOLDEN), msgspec.to_builtins(drawn))
    return msgspec.structs.replace(manifest, golden=(golden,))


def native(manifest: Manifest, folder: Path) -> NativeRuntime:
    return NativeRuntime(manifest, manifest.variants[0], folder, threads=1)


def graphs(tokenizer: Tokenizer, config: Mapping[str, Any], work: int) -> Mapping[str, bytes]:
    rows, two = (2 if config["guided"] else 1), config.get("time_ids", False)
    return {
        "text": tiny_graphs.text(tokenizer.get_vocab_size(), rows, two=two),
        "step": tiny_graphs.step(rows, two=two, work=work),
        "decode": tiny_graphs.pixels(small=False),
        "preview": tiny_graphs.pixels(small=True),
    }


def clip_tokenizer() -> Tokenizer:
    """Byte pairs with ends of words, as CLIP has them; of few words only letters are known."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*letters, *(f"{letter}</w>" for letter in letters)]
    names += ["".join(pair) for pair in MERGES] + [START, END]
    vocabulary = {name: number for number, name in enumerate(names)}
    made = Tokenizer(
        models.BPE(vocab=vocabulary, merges=MERGES, unk_token=END, end_of_word_suffix="</w>")
    )
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.add_special_tokens([START, END])
    ends = ((name, made.token_to_id(name)) for name in (END, START))
    made.post_processor = processors.RobertaProcessing(
        next(ends), next(ends), trim_offsets=False, add_prefix_space=False
    )
    return made


def _save(data: bytes, path: Path, sharded: bool) -> None:
    onnx.save_model(
        onnx.load_from_string(data),
        path,
        save_as_external_data=sharded,
        location=f"{path.stem}-00001.bin",
        size_threshold=100,  # shapes and axes are needed before the weights
    )


def _manifest(folder: Path, config: dict[str, Any], memory_mib: int) -> Manifest:
    weights = sorted([*folder.glob("*.onnx"), *folder.glob("*.bin")])
    variant = Variant(
        id="fp32",
        dtype="fp32",
        graphs={name: f"{name}.onnx" for name in GRAPHS},
        files=tuple(file_of(path) for path in weights),
        memory_mib=memory_mib,
    )
    return Manifest(
        id=folder.name,
        connector="text-to-image",
        title="Tiny pictures",
        description="A few nodes that stand for a diffusion model in tests.",
        licence="Apache-2.0",
        source="tests/support/tiny_graphs.py",
        config=config,
        variants=(variant,),
        shared=(file_of(folder / "tokenizer.json"),),
    )


def file_of(path: Path) -> File:
    data = path.read_bytes()
    return File(path.name, len(data), hashlib.sha256(data).hexdigest())
