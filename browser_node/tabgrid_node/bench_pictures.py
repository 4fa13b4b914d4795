"""``python -m tabgrid_node.bench_pictures MODEL_FOLDER VARIANT THREADS``.

A latent diffusion model on a bare onnxruntime, as one would write it without a grid. Each line
in is one picture in numbers (``Work`` of tabgrid_server/bench/picture_work.py, as JSON), each
line out says how many milliseconds it took and what came of it.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tokenizers import Tokenizer

from tabgrid_models.manifest import Manifest

from .native_runtime import NativeRuntime

Arrays = dict[str, Any]


class Bare:
    """The sessions and the tokeniser, and nothing else of ours."""

    def __init__(self, folder: Path, manifest: Manifest, sessions: Mapping[str, Any]) -> None:
        self._sessions = sessions
        self._tokenizer = Tokenizer.from_file(str(folder / manifest.config["tokenizer"]))
        self._tokenizer.no_padding()

    def draw(self, work: Mapping[str, Any]) -> bytes:
        """RGBA of the picture, or of the last preview where no picture is wanted."""
        constants = {**self._run("text", self._ids(work)), **_all(work["constants"])}
        latents, shown = _floats(work["latents"]), b""
        for number, own in enumerate(work["steps"], 1):
            after = self._run("step", {**constants, **_all(own), "latents": latents})
            latents = after["next"]
            if number in work["shown"]:
                shown = self._pixels("preview", after["denoised"])
        return self._pixels("decode", latents) if work["decode"] else shown

    def _ids(self, work: Mapping[str, Any]) -> Arrays:
        width = work["max_tokens"]
        self._tokenizer.enable_truncation(width)
        rows = [self._tokenizer.encode(prompt).ids for prompt in work["prompts"]]
        return {
            name: np.array([row + [pad] * (width - len(row)) for row in rows], np.int64)
            for name, pad in work["pad_ids"].items()
        }

    def _pixels(self, graph: str, latents: Any) -> bytes:
        rgba: bytes = self._run(graph, {"latents": latents})["rgba"].tobytes()
        return rgba

    def _run(self, graph: str, feeds: Arrays) -> Arrays:
        session = self._sessions[graph]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, feeds), strict=True))


def _all(floats: Mapping[str, Any]) -> Arrays:
    return {name: _floats(one) for name, one in floats.items()}


def _floats(one: Mapping[str, Any]) -> Any:
    return np.array(one["values"], np.float32).reshape(one["shape"])


def main(folder: Path, variant: str, threads: int) -> None:
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    [chosen] = [one for one in manifest.variants if one.id == variant]
    bare = Bare(folder, manifest, NativeRuntime(manifest, chosen, folder, threads).sessions)
    for line in sys.stdin:
        work = json.loads(line)
        started = time.perf_counter()
        rgba = bare.draw(work)
        ms = 1000 * (time.perf_counter() - started)
        print(json.dumps({"ms": ms, "answer": base64.b64encode(rgba).decode()}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
