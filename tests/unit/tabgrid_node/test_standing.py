"""What the grid says of a node's answers reaches its owner; models are tested anew on request."""

from __future__ import annotations

import pytest

from tabgrid_models.manifest import Manifest, Variant
from tabgrid_node.cli import Lines
from tabgrid_node.hosts import ConnectionLost, Device, ModelStanding
from tabgrid_node.life import Life
from tabgrid_node.testing import NoRuntime
from tabgrid_wire import messages as m
from tests.unit.tabgrid_node.test_node import Scene, manifest_of

MODEL = manifest_of()


def standing(state: str, reason: str = "Because.", **more: object) -> m.Standing:
    return m.Standing(MODEL.digest(), state, reason, **more)  # type: ignore[arg-type]


async def test_its_owner_sees_how_the_grid_takes_its_answers() -> None:
    scene = Scene()
    peer = await scene.ready()
    job = "job_" + "0" * 26
    await peer.send(standing("paused", "One was wrong.", job=job, appeal_until=1_800_000_000))
    while not (found := scene.node.life.status.standings):
        scene.changed.clear()
        await scene.changed.wait()
    assert found == {
        MODEL.id: ModelStanding(
            "paused", "One was wrong.", False, job, 1_800_000_000, "fp32 on cpu:test"
        )
    }
    assert scene.node.life.state == "ready"
    await scene.end()


async def test_a_class_that_may_work_again_is_tested_anew() -> None:
    scene = Scene()
    peer = await scene.ready()
    loads = len(scene.host.loads)
    await peer.send(standing("testing"))
    assert await peer.receive() == m.Paused("busy")
    assert isinstance(await peer.receive(), m.Ready)
    assert scene.host.loads[loads:] == [(MODEL.digest(), "unloaded"), (MODEL.id, "only")]
    await scene.end()


async def test_a_test_waits_for_the_job_in_hand_and_takes_no_other() -> None:
    scene = Scene()
    peer = await scene.ready()
    first = await scene.assign(peer)
    await scene.connector.running.wait()
    scene.node.test_again()
    scene.node.test_again()
    assert await peer.receive() == m.Paused("busy")
    second = await scene.assign(peer, 2)
    failed = await peer.receive()
    assert isinstance(failed, m.Failed)
    assert (failed.job, failed.message) == (second.job, "The node tests itself.")
    scene.connector.gate.set()
    while isinstance(result := await peer.receive(), m.Progress):
        pass
    assert isinstance(result, m.Result)
    assert result.job == first.job
    assert isinstance(await peer.receive(), m.Ready), "once, although it was asked for twice"
    await scene.end()


async def test_a_model_that_was_refused_gets_another_chance() -> None:
    scene = Scene(manifest_of(), manifest_of(id="broken"))
    broken = scene.manifests[1]
    del scene.host.manifests[broken.digest()]
    peer = await scene.joined()
    ready = await peer.receive()
    assert isinstance(ready, m.Ready)
    assert [refused.digest for refused in ready.refused] == [broken.digest()]
    scene.host.manifests[broken.digest()] = broken
    scene.node.test_again()
    assert await peer.receive() == m.Paused("busy")
    again = await peer.receive()
    assert isinstance(again, m.Ready)
    assert {held.digest for held in again.models} == {MODEL.digest(), broken.digest()}
    await scene.end()


async def test_a_grid_that_is_gone_in_the_middle_of_a_test_is_joined_again() -> None:
    scene = Scene()
    await scene.ready()
    load = scene.host.runtime

    def cut(manifest: Manifest, variant: Variant) -> NoRuntime:
        scene.host.runtime = load
        raise ConnectionLost("The line is cut.")

    scene.host.runtime = cut
    scene.node.test_again()
    assert isinstance(await (await scene.joined()).receive(), m.Ready)
    await scene.end()


def test_what_a_grid_says_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    life = Life(Device("native", "cpu", "a test", "cpu:test", "id", 1024))
    lines = Lines()
    life.stands(
        "echo", ModelStanding("refused", "Not\x1b[2J here.\n", True, "", 0, "q8 on cpu:test")
    )
    lines(life.status)
    lines(life.status)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "echo (q8 on cpu:test) is refused: Not [2J here. "
    assert len([line for line in shown if line.startswith("echo")]) == 1
