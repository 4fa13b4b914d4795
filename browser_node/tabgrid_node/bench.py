"""``python -m tabgrid_node.bench MODEL_FOLDER SECONDS THREADS < texts.json``.

The whole node, from the bytes of an Assign to those of a signed Result, beside a bare loop
over the same onnxruntime session: tokenise, pad, run. The two take turns, so that whatever
else the machine does slows both. One JSON object per batch size, times in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tokenizers import Tokenizer

from tabgrid_models.connectors.embeddings import EmbeddingsInput, EmbeddingsOutput, micro_batches
from tabgrid_models.manifest import Manifest
from tabgrid_wire import messages as m
from tabgrid_wire.ids import new_id

from .keys import KeySigner
from .native_runtime import NativeRuntime
from .node import Node
from .testing import LocalHost, Peer

GRID = "bench"
WALLET = "11111111111111111111111111111111"
BATCHES = (1, 32)
#: Nobody waits for a bench's lease.
DEADLINE_MS = 3_600_000
#: float32 on one machine, in another order of the same batches.
SAME = 1e-5


class Bare:
    """What one would write without a grid."""

    def __init__(self, folder: Path, manifest: Manifest, session: Any) -> None:
        self._session = session
        self._tokenizer = Tokenizer.from_file(str(folder / manifest.config["tokenizer"]))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(manifest.config["max_tokens"])
        self._width = manifest.config["dimensions"]

    def embed(self, texts: list[str]) -> np.ndarray[Any, Any]:
        tokens = [one.ids for one in self._tokenizer.encode_batch_fast(texts)]
        rows = np.empty((len(texts), self._width), np.float32)
        for batch in micro_batches([len(ids) for ids in tokens]):
            rows[batch] = self._run([tokens[index] for index in batch])
        return rows

    def _run(self, tokens: Sequence[Sequence[int]]) -> Any:
        ids = np.zeros((len(tokens), max(map(len, tokens))), np.int64)
        mask = np.zeros_like(ids)
        for row, own in enumerate(tokens):
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
        return self._session.run(["embeddings"], {"input_ids": ids, "attention_mask": mask})[0]


class Ours:
    """A running node, and the coordinator's end of its connection."""

    def __init__(self, peer: Peer, digest: str) -> None:
        self._peer = peer
        self._digest = digest

    async def greet(self, model: str) -> None:
        await self._peer.receive()
        offered = m.OfferedModel(GRID, model, self._digest)
        await self._peer.send(m.Welcome(_id("node"), WALLET, (offered,), heartbeat_s=30))
        ready = await self._peer.receive()
        if not isinstance(ready, m.Ready) or not ready.models:
            raise SystemExit(f"The node cannot run the model: {ready}")

    async def embed(self, texts: list[str]) -> bytes:
        """msgpack of the answer. Raises RuntimeError for Failed."""
        input = msgspec.msgpack.encode(EmbeddingsInput(tuple(texts)))
        job = m.Assign(_id("lease"), _id("job"), GRID, self._digest, input, DEADLINE_MS)
        await self._peer.send(job)
        while not isinstance(answer := await self._peer.receive(), m.Result):
            if isinstance(answer, m.Failed):
                raise RuntimeError(answer.message)
        return answer.output


async def main(folder: Path, seconds: float, threads: int, texts: list[str]) -> None:
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    variant = manifest.variants[0]
    runtime = NativeRuntime(manifest, variant, folder, threads)
    host = LocalHost(KeySigner(), [manifest], runtime=lambda manifest, variant: runtime)
    node = Node(host, [GRID], WALLET)
    running = asyncio.create_task(node.run())
    ours = Ours(await host.peers.get(), manifest.digest())
    await ours.greet(manifest.id)
    bare = Bare(folder, manifest, runtime.sessions["model"])
    for size in BATCHES:
        report = await _compare(ours, bare, texts[:size], seconds / len(BATCHES))
        sys.stdout.write(json.dumps({"texts": size, **report}) + "\n")
        sys.stdout.flush()
    node.stop()
    await running


async def _compare(ours: Ours, bare: Bare, texts: list[str], seconds: float) -> dict[str, float]:
    _check(await ours.embed(texts), bare.embed(texts))
    with_node, without = [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        await ours.embed(texts)
        between = time.perf_counter()
        bare.embed(texts)
        with_node.append(between - started)
        without.append(time.perf_counter() - between)
    return {
        "node_ms": 1000 * statistics.median(with_node),
        "bare_ms": 1000 * statistics.median(without),
        "rounds": len(without),
    }


def _check(output: bytes, expected: np.ndarray[Any, Any]) -> None:
    answer = msgspec.msgpack.decode(output, type=EmbeddingsOutput)
    rows = np.frombuffer(answer.embeddings, np.float32).reshape(expected.shape)
    if not np.allclose(rows, expected, atol=SAME):
        raise SystemExit("The node and the bare loop do not agree.")


def _id(prefix: str) -> str:
    return new_id(prefix, int(time.time() * 1000), time.perf_counter_ns().to_bytes(10, "big"))


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=list[str])
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), given))
