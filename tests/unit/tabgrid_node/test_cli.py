from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tabgrid_node.cli import Lines, WhenReady, show_json
from tabgrid_node.hosts import NodeStatus
from tabgrid_node.life import Life
from tabgrid_node.testing import DEVICE
from tests.unit.tabgrid_node.test_node import Scene, manifest_of

IDLE = Life(DEVICE, "Wallet").status


def status(state: str, message: str) -> NodeStatus:
    return msgspec.structs.replace(IDLE, state=state, message=message)


def test_one_line_while_jobs_come_and_go(capsys: pytest.CaptureFixture[str]) -> None:
    show = Lines()
    for _ in range(3):
        show(status("ready", "Ready. Waiting for jobs."))
        show(status("working", "Working on a job."))
    show(status("paused", "Paused by you."))
    assert capsys.readouterr().out == "ready: Ready. Waiting for jobs.\npaused: Paused by you.\n"


async def test_a_model_that_does_not_run_here_is_named_once_with_its_precision_and_device(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scene = Scene(manifest_of(), manifest_of(id="wrong", answer="else"), manifest_of(id="gone"))
    gone = scene.manifests[2]
    del scene.host.manifests[gone.digest()]
    await scene.ready()
    show = Lines()
    for _ in range(2):
        show(scene.node.life.status)
    await scene.end()
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "wrong (fp32 on cpu:test) is not supported here. This device computes wrong numbers"
    )
    assert second.startswith("gone (on cpu:test) does not run here: ")
    assert rest == ["ready: Ready. Waiting for jobs."]


def test_json_is_the_whole_status(capsys: pytest.CaptureFixture[str]) -> None:
    show_json(IDLE)
    assert msgspec.json.decode(capsys.readouterr().out, type=NodeStatus) == IDLE


def test_the_ready_file_comes_with_the_first_ready(tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    shown: list[NodeStatus] = []
    show = WhenReady(file, {"pid": 1}, shown.append)
    show(IDLE)
    assert not file.exists()
    show(status("ready", "Ready."))
    assert json.loads(file.read_text()) == {"pid": 1}
    assert len(shown) == 2
