"""The networks of a diffusers folder as optimum exports them, and its tokeniser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx

from .. import ExportError
from .family import Family

TOKENIZER = "tokenizer.json"


def export_networks(source: Path, folder: Path, opset: int) -> None:
    """Write each network of the pipeline as ONNX, in float32, into a folder of its own."""
    from optimum.exporters.onnx import main_export

    main_export(
        str(source),
        output=folder,
        task="text-to-image",
        opset=opset,
        library_name="diffusers",
        device="cpu",
        # What comes out is compared with the original's own pictures later.
        do_validation=False,
    )


def load(networks: Path, name: str) -> onnx.ModelProto:
    """One network anew: surgery changes it, and each variant starts from the original."""
    return onnx.load(networks / name / "model.onnx")


def write_tokenizer(source: Path, family: Family, folder: Path) -> tuple[int, tuple[int, ...], int]:
    """Write ``tokenizer.json``; returns tokens per text, the encoders' padding, the end.

    Two encoders must share one vocabulary, as those of SDXL do; only their padding differs.
    """
    from transformers import AutoTokenizer

    found = [
        AutoTokenizer.from_pretrained(source / name.replace("text_encoder", "tokenizer"))
        for name in family.encoders
    ]
    if any(each.get_vocab() != found[0].get_vocab() for each in found):
        raise ExportError("Its text encoders have different vocabularies; that is not supported.")
    if not found[0].is_fast:
        raise ExportError(f"Its tokeniser {type(found[0]).__name__} has no fast form.")
    words: dict[str, Any] = json.loads(found[0].backend_tokenizer.to_str())
    # How rows are cut and filled is the connector's business.
    words["padding"] = words["truncation"] = None
    text = json.dumps(words, ensure_ascii=False, separators=(",", ":"))
    (folder / TOKENIZER).write_text(text, encoding="utf-8")
    limits = [
        json.loads((source / name / "config.json").read_text())["max_position_embeddings"]
        for name in family.encoders
    ]
    tokens = min(*limits, *(each.model_max_length for each in found))
    return tokens, tuple(each.pad_token_id for each in found), found[0].eos_token_id
