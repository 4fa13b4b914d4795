"""One job on a model of a few kilobytes: what is signed, and steps that are run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from tabgrid_models import trace
from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageInput
from tabgrid_models.trace import Recheck, Rechecked, Stretch
from tabgrid_node import loading
from tabgrid_node.runner import Job
from tabgrid_node.testing import LocalHost
from tabgrid_wire import messages as m
from tabgrid_wire.commitment import output_digest, result_message
from tests.support import pictures

WALLET = "Wallet"
INPUT = TextToImageInput("a red ball", seed=3, steps=4)


class Signer:
    def __init__(self) -> None:
        self.pair = Keypair()

    async def sign(self, message: bytes) -> bytes:
        return bytes(self.pair.sign_message(message))


class Bench:
    def __init__(self, folder: Path) -> None:
        self.manifest = pictures.build(folder)
        variant = self.manifest.variants[0]
        loaded = m.LoadedModel(self.manifest.digest(), variant.id, variant.dtype, 1.0)
        tested = loading.Tested(self.manifest, variant, TextToImage(), loaded)
        self.held = loading.Held(tested, pictures.native(self.manifest, folder / pictures.ID))
        self.signer = Signer()
        self.host = LocalHost(self.signer)

    async def run(self, input: Any, task: Any = "answer", upload: str = "") -> Any:
        assign = m.Assign(
            "lease_" + "0" * 26, "job_" + "0" * 26, "g", self.manifest.digest(),
            msgspec.msgpack.encode(input), 60_000, upload=upload, task=task,
        )  # fmt: skip
        return await Job(assign, self.host, WALLET).run(self.held)

    def signed(self, result: m.Result, root: bytes | None) -> bool:
        message = result_message(
            result.job, WALLET, result.nonce, output_digest(result.output), root
        )
        return Signature(result.signature).verify(Pubkey(bytes(self.signer.pair.pubkey())), message)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("library"))


async def test_a_picture_is_signed_with_the_root_of_its_latents(bench: Bench) -> None:
    result = await bench.run(INPUT)
    states = TextToImage().split_trace(INPUT, bench.manifest, result.trace)
    assert len(states) == 5
    assert result.root == trace.root(states)
    assert bench.signed(result, result.root)
    assert not bench.signed(result, None)
    assert not bench.signed(result, bytes(32))


async def test_drawn_steps_are_run_again_from_where_they_began(bench: Bench) -> None:
    result = await bench.run(INPUT)
    states = trace.split(result.trace, 5)
    stretches = (Stretch(1, 1, states[1]), Stretch(2, 2, states[2]))
    asked = Recheck(msgspec.msgpack.encode(INPUT), stretches, states[4])
    again = await bench.run(asked, "recheck")
    found = msgspec.msgpack.decode(again.output, type=Rechecked)
    assert found.after == (states[2], states[4])
    assert found.output == result.output
    assert (again.root, again.trace) == (None, b"")
    assert bench.signed(again, None)


@pytest.mark.parametrize("input", [INPUT, {"input": b"", "stretches": [], "last": b""}, None])
async def test_what_is_no_recheck_is_a_bad_input(bench: Bench, input: Any) -> None:
    failed = await bench.run(input, "recheck")
    assert isinstance(failed, m.Failed)
    assert failed.code == "bad_input"


async def test_large_latents_are_uploaded_and_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tabgrid_node.runner.INLINE_OUTPUT", 1000)
    result = await bench.run(INPUT, upload="/api/blobs/{digest}?x")
    assert result.trace == b""
    assert result.trace_blob is not None
    content = bench.host.uploads[f"/api/blobs/{result.trace_blob.digest}?x"]
    assert result.root == trace.root(trace.split(content, 5))
