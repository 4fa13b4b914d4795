"""Run where torch is: python adopted.py RUN MODEL says how far adopted weights are from the graphs.

Prints whether both number the same words alike, the largest difference of the text's vectors, and
the share of the picture's levels that differ by more than one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from transformers import PreTrainedTokenizerFast

from scenes.architecture import make_parts, tokenizer_of

PROMPT = "a tiny striped star left of two big red circles on a white background"

run, model = map(Path, sys.argv[1:])
state = torch.load(run / "adopted.pt", weights_only=True)
parts = make_parts()
parts.text_encoder.load_state_dict(state["text_encoder"])
parts.vae.load_state_dict(state["vae"])
shipped = PreTrainedTokenizerFast(tokenizer_file=str(model / "tokenizer.json"))
same = tokenizer_of(run)(PROMPT).input_ids == shipped(PROMPT).input_ids
random = np.random.default_rng(0)
ids = random.integers(2, 700, (2, 32))
latents = random.normal(size=(1, 4, 16, 16)).astype(np.float32)


def graph(name: str, **feeds: np.ndarray) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(model / f"{name}-q8.onnx").run(None, feeds)[0])


with torch.no_grad():
    context = parts.text_encoder(torch.from_numpy(ids)).last_hidden_state.numpy()
    picture = parts.vae.decode(torch.from_numpy(latents) / state["scale"]).sample[0].numpy()
levels = ((picture.clip(-1, 1) + 1) * 127.5).round().transpose(1, 2, 0)
off = np.abs(levels - graph("decode", latents=latents)[..., :3]) > 1
print("same" if same else "other", np.abs(context - graph("text", input_ids=ids)).max(), off.mean())
