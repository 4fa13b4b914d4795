"""The node program in one process, against a coordinator's end of the same protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from solders.pubkey import Pubkey
from solders.signature import Signature

from tabgrid_models.connectors.echo import Echo, EchoInput, EchoOutput
from tabgrid_models.manifest import Golden, Manifest, Variant
from tabgrid_node.hosts import (
    CannotRun,
    ConnectionLost,
    DeviceLost,
    NodeStatus,
    UploadRefused,
    closed,
)
from tabgrid_node.keys import KeySigner
from tabgrid_node.life import Life
from tabgrid_node.node import Node
from tabgrid_node.testing import LocalHost, NoRuntime, Peer
from tabgrid_wire import messages as m
from tabgrid_wire.commitment import output_digest, result_message
from tabgrid_wire.errors import CloseCode
from tabgrid_wire.ids import new_id

WALLET = "Wa11et"
NODE = new_id("node", 1, bytes(10))


def manifest_of(id: str = "echo", answer: str = "golden", **fields: Any) -> Manifest:
    variant = Variant("only", "fp32", {}, (), 1)
    golden = (Golden({"text": "golden"}, {"text": answer}),)
    return Manifest(id, "echo", id, "", "Apache-2.0", "here", {}, (variant,), (), golden, **fields)


class Gate(Echo):
    """An echo that reports, then waits until it is let through, then reports again."""

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.gate = asyncio.Event()
        self.error: BaseException | None = None
        self.chunk = b""
        #: How often the answer says what was called.
        self.times = 1

    async def run(self, input: EchoInput, manifest: Any, runtime: Any, emit: Any) -> EchoOutput:
        if input.text == "golden":
            return EchoOutput("golden")
        emit(0, 2, "first")
        self.running.set()
        await self.gate.wait()
        error, self.error = self.error, None
        if error is not None:
            raise error
        emit(1, 2, "second", self.chunk)
        emit(1, 2, "second", self.chunk)
        return EchoOutput(input.text * self.times)


class Scene:
    """A running node and the coordinator's end of its connection."""

    def __init__(self, *manifests: Manifest, capacity: int = 1) -> None:
        self.manifests = manifests or (manifest_of(),)
        self.signer = KeySigner()
        self.host = LocalHost(self.signer, self.manifests)
        self.connector = Gate()
        self.node = Node(
            self.host,
            ("text",),
            WALLET,
            agent="tests",
            capacity=capacity,
            find=lambda name: self.connector,
        )
        self.host.on_report = self._reported
        self.changed = asyncio.Event()
        self.task = asyncio.create_task(self.node.run())
        self._count = 0

    def _reported(self, status: NodeStatus) -> None:
        self.node.life.validate_state()
        self.changed.set()

    async def state(self, state: str) -> NodeStatus:
        """The first report of that state from now on, or the present one."""
        while self.node.life.state != state:
            self.changed.clear()
            await self.changed.wait()
        return self.node.life.status

    async def joined(self, wallet: str = WALLET) -> Peer:
        """A connection up to Welcome."""
        peer = await self.host.peers.get()
        assert isinstance(await peer.receive(), m.Hello)
        offers = tuple(m.OfferedModel("text", each.id, each.digest()) for each in self.manifests)
        await peer.send(m.Welcome(NODE, wallet, offers, 60))
        return peer

    async def ready(self) -> Peer:
        peer = await self.joined()
        assert isinstance(await peer.receive(), m.Ready)
        return peer

    async def assign(self, peer: Peer, number: int = 1, **changes: Any) -> m.Assign:
        fields = {
            "lease": new_id("lease", number, bytes(10)),
            "job": new_id("job", number, bytes(10)),
            "grid": "text",
            "model": self.manifests[0].digest(),
            "input": msgspec.msgpack.encode(EchoInput("hello")),
            "deadline_ms": 30_000,
        }
        assign = m.Assign(**(fields | changes))
        await peer.send(assign)
        return assign

    async def end(self) -> None:
        self.node.stop()
        self.node.stop()
        await self.task


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    if not scene.task.done():
        await scene.end()
    assert scene.node.life.state == "stopped"


async def test_a_job_from_hello_to_settled(scene: Scene) -> None:
    peer = await scene.ready()
    scene.connector.gate.set()
    assign = await scene.assign(peer)
    result = await peer.receive()
    assert isinstance(result, m.Result)
    assert msgspec.msgpack.decode(result.output, type=EchoOutput) == EchoOutput("hello")
    signed = result_message(assign.job, WALLET, result.nonce, output_digest(result.output))
    key = Pubkey.from_string(scene.signer.public)
    assert Signature.from_bytes(result.signature).verify(key, signed)
    await peer.send(m.Settled(assign.job, 25, "TGT", 20))
    await peer.send(m.Drain(5))
    assert await peer.receive() == m.Bye("drained")
    assert scene.node.life.status.earned == 25
    assert scene.node.life.status.jobs_done == 1


UPLOAD = "/api/blobs/{digest}?lease=one"
LOST = ConnectionLost("broken off")


async def large_answer(
    scene: Scene, upload: str, *answers: ConnectionLost | UploadRefused | None
) -> tuple[m.Assign, Any]:
    """What the node says to a job whose output is over 64 KiB."""
    peer = await scene.ready()
    scene.host.upload_answers = list(answers)
    scene.connector.times = 20_000
    scene.connector.gate.set()
    assign = await scene.assign(peer, upload=upload)
    return assign, await peer.receive()


@pytest.mark.parametrize("breaks", [0, 1, 2])
async def test_a_large_output_is_uploaded_and_named(scene: Scene, breaks: int) -> None:
    assign, result = await large_answer(scene, UPLOAD, *[LOST] * breaks)
    assert isinstance(result, m.Result)
    assert result.output == b""
    assert result.blob is not None
    [(path, output)] = scene.host.uploads.items()
    assert path == UPLOAD.replace("{digest}", result.blob.digest)
    assert result.blob == m.Blob(output_digest(output).hex(), len(output))
    assert msgspec.msgpack.decode(output)["text"] == "hello" * 20_000
    signed = result_message(assign.job, WALLET, result.nonce, output_digest(output))
    key = Pubkey.from_string(scene.signer.public)
    assert Signature.from_bytes(result.signature).verify(key, signed)
    assert len(scene.host.slept) == breaks


@pytest.mark.parametrize(
    ("answers", "tries"), [([LOST] * 3, 3), ([LOST, UploadRefused("too large")], 2)]
)
async def test_an_upload_that_does_not_come_through_hands_the_job_back(
    scene: Scene, answers: list[ConnectionLost | UploadRefused], tries: int
) -> None:
    _, failed = await large_answer(scene, UPLOAD, *answers)
    assert isinstance(failed, m.Failed)
    assert failed.code == "internal"
    assert str(answers[-1]) in failed.message
    assert scene.host.upload_answers == []
    assert len(scene.host.slept) == tries - 1


@pytest.mark.parametrize("elsewhere", ["", "//evil.example/api/blobs/{digest}", "https://evil/"])
async def test_an_output_goes_to_the_grid_or_into_the_frame(scene: Scene, elsewhere: str) -> None:
    _, result = await large_answer(scene, elsewhere)
    assert isinstance(result, m.Result)
    assert result.blob is None
    assert len(result.output) > m.INLINE_OUTPUT
    assert scene.host.uploads == {}


async def test_a_job_that_is_called_off_is_not_uploaded_again(scene: Scene) -> None:
    peer = await scene.ready()
    scene.host.upload_answers = [LOST] * 3
    scene.connector.times = 20_000
    assign = await scene.assign(peer, upload=UPLOAD)
    await scene.connector.running.wait()
    [job] = scene.node._jobs.values()

    async def sleep(seconds: float) -> None:
        job.stop()

    scene.host.sleep = sleep  # type: ignore[method-assign]
    scene.connector.gate.set()
    await scene.state("ready")
    assert assign.lease not in scene.node._jobs
    assert len(scene.host.upload_answers) == 2


async def test_ready_says_what_was_measured(scene: Scene) -> None:
    peer = await scene.joined()
    ready = await peer.receive()
    assert isinstance(ready, m.Ready)
    assert [model.digest for model in ready.models] == [scene.manifests[0].digest()]
    assert ready.models[0].units_per_second > 0
    status = await scene.state("ready")
    assert status.message == "Ready. Waiting for jobs."


async def test_states_of_a_life(scene: Scene) -> None:
    peer = await scene.ready()
    scene.connector.gate.set()
    await scene.assign(peer)
    await peer.receive()
    await scene.end()
    states = [report.state for report in scene.host.reports]
    seen = [state for state, before in zip(states, ["", *states], strict=False) if state != before]
    assert seen == ["idle", "loading", "ready", "working", "ready", "stopped"]


async def test_wrong_numbers_are_refused_with_the_reason() -> None:
    scene = Scene(manifest_of("good"), manifest_of("bad", answer="other"))
    peer = await scene.joined()
    ready = await peer.receive()
    assert isinstance(ready, m.Ready)
    assert [r.digest for r in ready.refused] == [scene.manifests[1].digest()]
    assert "An echo must be what was called" in ready.refused[0].reason or (
        "wrong numbers" in ready.refused[0].reason
    )
    assert list((await scene.state("ready")).refused) == ["bad"]
    await scene.end()


async def test_nothing_that_runs_here_ends_the_node_with_the_reason() -> None:
    scene = Scene(manifest_of("bad", answer="other"))
    peer = await scene.joined()
    ready = await peer.receive()
    assert isinstance(ready, m.Ready)
    assert ready.models == ()
    assert isinstance(await peer.receive(), m.Bye)
    await scene.task
    assert "cannot run any model" in scene.node.failure
    assert scene.node.life.status.message == scene.node.failure


async def test_another_manifest_than_offered_is_refused() -> None:
    scene = Scene(manifest_of())
    digest = scene.manifests[0].digest()
    scene.host.manifests[digest] = manifest_of("changed")
    peer = await scene.joined()
    ready = await peer.receive()
    assert isinstance(ready, m.Ready)
    assert "another manifest" in ready.refused[0].reason
    await scene.task


async def test_pause_and_resume(scene: Scene) -> None:
    peer = await scene.ready()
    scene.node.pause("battery")
    assert await peer.receive() == m.Paused("battery")
    assert (await scene.state("paused")).message == "Paused while this device runs on battery."
    assign = await scene.assign(peer)
    refused = await peer.receive()
    assert isinstance(refused, m.Failed)
    assert (refused.lease, refused.message) == (assign.lease, "The node is paused.")
    scene.node.resume()
    assert isinstance(await peer.receive(), m.Ready)
    await scene.state("ready")


async def test_pause_while_loading_is_said_after_ready(scene: Scene) -> None:
    scene.node.pause("owner")
    peer = await scene.joined()
    assert isinstance(await peer.receive(), m.Ready)
    assert await peer.receive() == m.Paused("owner")


async def test_a_running_job_is_finished_in_a_pause(scene: Scene) -> None:
    peer = await scene.ready()
    await scene.assign(peer)
    await scene.connector.running.wait()
    scene.node.pause("owner")
    assert "finished first" in scene.node.life.status.message
    assert isinstance(await peer.receive(), m.Paused)
    scene.connector.gate.set()
    assert isinstance(await peer.receive(), m.Result)


async def test_cancel_stops_at_the_next_step(scene: Scene) -> None:
    peer = await scene.ready()
    assign = await scene.assign(peer)
    await scene.connector.running.wait()
    await peer.send(m.Cancel(assign.lease, "nobody waits"))
    await peer.send(m.Error("note", "heard"))
    while scene.node.life.status.message != "heard":
        scene.changed.clear()
        await scene.changed.wait()
    scene.connector.gate.set()
    await scene.state("ready")
    assert scene.node.life.status.jobs_done == 0
    # What comes next is not an answer to the cancelled lease.
    scene.node.pause("owner")
    assert await peer.receive() == m.Paused("owner")


async def test_a_lease_that_ran_out_is_not_answered(scene: Scene) -> None:
    peer = await scene.ready()
    await scene.assign(peer, deadline_ms=1000)
    await scene.connector.running.wait()
    scene.host.now += 2
    scene.connector.gate.set()
    await scene.state("ready")
    assert scene.node.life.status.jobs_done == 0


async def test_progress_is_told_when_a_job_takes_its_time(scene: Scene) -> None:
    peer = await scene.ready()
    assign = await scene.assign(peer)
    await scene.connector.running.wait()
    scene.host.now += 1
    scene.connector.gate.set()
    assert await peer.receive() == m.Progress(assign.lease, 1, 2, "second")
    assert isinstance(await peer.receive(), m.Result)


async def test_a_preview_goes_to_the_grid_and_to_the_owner_not_too_often(scene: Scene) -> None:
    peer = await scene.ready()
    scene.connector.chunk = b"picture"
    scene.connector.gate.set()
    assign = await scene.assign(peer)
    assert await peer.receive() == m.Chunk(assign.lease, 0, b"picture")
    assert isinstance(await peer.receive(), m.Result)
    assert scene.host.shown == [(assign.job, "text", b"picture")]


@pytest.mark.parametrize(("chunk", "shown"), [(b"picture", False), (bytes(m.MAX_CHUNK + 1), True)])
async def test_what_is_hidden_or_too_large_is_shown_to_nobody(
    scene: Scene, chunk: bytes, shown: bool
) -> None:
    peer = await scene.ready()
    scene.connector.chunk = chunk
    await scene.assign(peer, show_preview=shown)
    await scene.connector.running.wait()
    assert scene.node.life.status.job_hidden is not shown
    scene.connector.gate.set()
    assert isinstance(await peer.receive(), m.Result)
    assert scene.host.shown == []
    assert not scene.node.life.status.job_hidden


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory"),
        (ValueError("broken"), "internal"),
        (DeviceLost("The GPU is gone."), "device_lost"),
    ],
)
async def test_failures_have_codes(scene: Scene, error: Exception, code: str) -> None:
    peer = await scene.ready()
    scene.connector.error = error
    scene.connector.gate.set()
    await scene.assign(peer)
    failed = await peer.receive()
    assert isinstance(failed, m.Failed)
    assert failed.code == code
    if code == "device_lost":
        assert isinstance(await peer.receive(), m.Bye)
        with pytest.raises(DeviceLost, match="GPU is gone"):
            await scene.task


async def test_a_job_without_memory_is_tried_again_when_other_models_have_made_room() -> None:
    scene = Scene(manifest_of(), manifest_of("other"))
    peer = await scene.ready()
    scene.connector.error = MemoryError()
    scene.connector.gate.set()
    await scene.assign(peer)
    assert isinstance(await peer.receive(), m.Result)
    assert scene.host.loads[2:] == [(scene.manifests[1].digest(), "unloaded")]
    await scene.end()


@pytest.mark.parametrize("input", [b"", b"\xc1", msgspec.msgpack.encode({"texts": 1})])
async def test_bad_input_is_the_jobs_fault(scene: Scene, input: bytes) -> None:
    peer = await scene.ready()
    await scene.assign(peer, input=input)
    failed = await peer.receive()
    assert isinstance(failed, m.Failed)
    assert failed.code == "bad_input"


async def test_a_model_that_was_not_offered_is_loaded_when_assigned() -> None:
    scene = Scene(manifest_of())
    later = manifest_of("later")
    scene.host.manifests[later.digest()] = later
    peer = await scene.ready()
    scene.connector.gate.set()
    await scene.assign(peer, model=later.digest())
    assert isinstance(await peer.receive(), m.Result)
    await scene.assign(peer, 2, model="f" * 64)
    failed = await peer.receive()
    assert isinstance(failed, m.Failed)
    assert failed.code == "model_unavailable"
    await scene.end()


async def test_an_answer_computed_while_away_goes_out_on_the_next_connection(scene: Scene) -> None:
    peer = await scene.ready()
    assign = await scene.assign(peer)
    await scene.connector.running.wait()
    await peer.close()
    scene.connector.gate.set()
    peer = await scene.joined()
    result = await peer.receive()
    while not isinstance(result, m.Result):
        result = await peer.receive()
    assert result.job == assign.job
    await peer.send(m.Error("stale_lease", "handed to another", assign.lease))
    await peer.close()
    peer = await scene.joined()
    assert isinstance(await peer.receive(), m.Ready)
    assert scene.host.loads == [("echo", "only")]


async def test_waits_grow_and_start_again_after_a_stable_time() -> None:
    scene = Scene()
    scene.host.answers = [ConnectionLost("The grid cannot be reached.") for _ in range(9)]
    peer = await scene.ready()
    waits = list(scene.host.slept)
    for wait, cap in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert cap / 2 <= wait <= cap
    scene.host.now += 60
    await peer.close()
    await scene.ready()
    assert 0.5 <= scene.host.slept[-1] <= 1
    message = next(r.message for r in scene.host.reports if r.retry_in)
    assert message == "The grid cannot be reached. Next try in 1 s."
    await scene.end()


@pytest.mark.parametrize("code", [CloseCode.DUPLICATE_DEVICE, CloseCode.NOT_SIGNED_IN])
async def test_codes_that_stop(scene: Scene, code: CloseCode) -> None:
    peer = await scene.ready()
    await peer.close(code)
    await scene.task
    assert scene.node.failure == str(closed(code))
    assert scene.node.life.status.message == scene.node.failure


async def test_a_grid_that_breaks_the_protocol_is_left_and_tried_again(scene: Scene) -> None:
    peer = await scene.ready()
    await peer.send_frame(b"nonsense")
    with pytest.raises(ConnectionLost) as lost:
        await peer.receive()
    assert lost.value.code == CloseCode.BAD_FRAME
    await scene.ready()


async def test_another_wallets_session_ends_the_node(scene: Scene) -> None:
    await scene.joined("Somebody")
    await scene.task
    assert "another wallet" in scene.node.failure


async def test_drain_finishes_the_job_then_reconnects(scene: Scene) -> None:
    peer = await scene.ready()
    await scene.assign(peer)
    await scene.connector.running.wait()
    await peer.send(m.Drain(5))
    scene.connector.gate.set()
    assert isinstance(await peer.receive(), m.Result)
    assert await peer.receive() == m.Bye("drained")
    await scene.joined()


async def test_stop_finishes_the_job_then_says_bye(scene: Scene) -> None:
    peer = await scene.ready()
    await scene.assign(peer)
    await scene.connector.running.wait()
    scene.node.stop()
    assert await peer.receive() == m.Paused("owner")
    scene.connector.gate.set()
    assert isinstance(await peer.receive(), m.Result)
    assert await peer.receive() == m.Bye("stopped")
    await scene.task
    assert scene.node.life.status.message == "Stopped."
    assert not scene.node.failure


async def test_stop_ends_it_although_its_job_fails_as_nobody_thought_of(scene: Scene) -> None:
    begun, break_off = asyncio.Event(), asyncio.Event()

    async def load(*_: Any) -> Any:
        begun.set()
        await break_off.wait()
        raise ValueError("unheard of")

    later = manifest_of("later")
    scene.host.manifests[later.digest()] = later
    peer = await scene.ready()
    scene.host.load = load  # type: ignore[method-assign]
    await scene.assign(peer, model=later.digest())
    async with asyncio.timeout(60):
        await begun.wait()
        scene.node.stop()
        assert await peer.receive() == m.Paused("owner")
        break_off.set()
        failed = await peer.receive()
        assert isinstance(failed, m.Failed)
        assert (failed.code, failed.message) == ("internal", "ValueError: unheard of")
        assert await peer.receive() == m.Bye("stopped")
        await scene.task


async def test_two_at_once_and_no_third() -> None:
    scene = Scene(capacity=2)
    peer = await scene.ready()
    for number in (1, 2):
        await scene.assign(peer, number)
    third = await scene.assign(peer, 3)
    refused = await peer.receive()
    assert isinstance(refused, m.Failed)
    assert refused.lease == third.lease
    scene.connector.gate.set()
    answers = [await peer.receive(), await peer.receive()]
    assert all(isinstance(answer, m.Result) for answer in answers)
    await scene.end()


async def test_memory_and_features_choose_the_variant() -> None:
    variants = (
        Variant("large", "fp32", {}, (), 1_000_000),
        Variant("half", "fp16", {}, (), 1, ("shader-f16",)),
        Variant("small", "q8", {}, (), 1),
    )
    scene = Scene(msgspec.structs.replace(manifest_of(), variants=variants))
    await scene.ready()
    assert scene.host.loads == [("echo", "small")]
    await scene.end()


async def test_the_next_variant_is_tried_where_one_cannot_run() -> None:
    variants = (Variant("first", "fp32", {}, (), 1), Variant("second", "q8", {}, (), 1))
    scene = Scene(msgspec.structs.replace(manifest_of(), variants=variants))

    def runtime(manifest: Manifest, variant: Variant) -> Any:
        if variant.id == "first":
            raise CannotRun("No.")
        return NoRuntime()

    scene.host.runtime = runtime
    await scene.ready()
    digest = scene.manifests[0].digest()
    assert scene.host.loads == [("echo", "first"), (digest, "unloaded"), ("echo", "second")]
    await scene.end()


def test_a_state_that_cannot_follow_is_a_mistake() -> None:
    life = Life(LocalHost(KeySigner()).device, WALLET)
    life.stopped("Stopped.")
    life.over = False
    with pytest.raises(AssertionError, match="stopped to loading"):
        life.welcomed(WALLET)
