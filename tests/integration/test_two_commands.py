"""`./build/demo` and `./build/test` as people run them, in this checkout, set up already."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.programs import Program, Programs, free_port

ROOT = Path(__file__).resolve().parents[2]
DEMO = str(ROOT / "build" / "demo")
#: A checkout whose bundles are stale is set up again first.
SET_UP_S = 300.0


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SET_UP_S,
        check=False,
    )


def start_demo(programs: Programs, data: Path, port: int) -> Program:
    where = ("--port", str(port), "--data", str(data), "--no-browser")
    return programs.start("demo", DEMO, *where)


def children(data: Path) -> dict[str, int]:
    """Name -> process id of what the demo started, as they said themselves."""
    files = (data / "run").glob("*.json")
    return {file.stem: json.loads(file.read_text())["pid"] for file in files}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(pids: dict[str, int], within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    while left := {name: pid for name, pid in pids.items() if alive(pid)}:
        assert time.monotonic() < until, f"still running: {left}"
        time.sleep(0.05)


@pytest.mark.parametrize("command", ["demo", "test"])
def test_second_set_up_has_nothing_to_do(command: str) -> None:
    first = run(f"./build/{command}", "--set-up-only")
    assert first.returncode == 0, first.stderr
    second = run(f"./build/{command}", "--set-up-only")
    assert second.returncode == 0, second.stderr
    head, last = second.stdout.splitlines()
    assert head.startswith("Setting up")
    assert last.startswith("Set up in ")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "data"


@pytest.fixture(scope="module")
def demo(data: Path) -> Iterator[Program]:
    programs = Programs(data.parent / "programs")
    try:
        demo = start_demo(programs, data, free_port())
        demo.ready(SET_UP_S)
        yield demo
    finally:
        programs.stop()


class TestDemo:
    """One demo for all of them; the last one stops it."""

    @pytest.fixture
    def client(self, demo: Program) -> Iterator[httpx.Client]:
        told = demo.ready()
        headers = {"authorization": f"Bearer {told['api_key']}"}
        with httpx.Client(
            base_url=told["url"], headers=headers, trust_env=False, timeout=60
        ) as client:
            yield client

    def test_ready_file_says_all(self, demo: Program, data: Path) -> None:
        told = demo.ready()
        assert set(told) == {"url", "api_key", "data", "pid"}
        assert told["data"] == str(data)
        assert told["pid"] == demo.pid
        assert told["api_key"].startswith("tg_")

    def test_address_is_printed(self, demo: Program) -> None:
        assert demo.ready()["url"] in demo.text()
        assert "Tabgrid serves after" in demo.text()

    def test_key_has_credit(self, client: httpx.Client) -> None:
        assert client.get("/api/keys/current").json()["credit"] > 0

    def test_reference_node_is_ready_for_every_grid(self, client: httpx.Client) -> None:
        grids = [grid["id"] for grid in client.get("/api/grids").json()["grids"]]
        assert grids[0] == "text"
        nodes = client.get("/api/nodes").json()["nodes"]
        assert [(node["host"], node["grids"]) for node in nodes] == [("native", grids)]

    def test_answers_a_request(self, client: httpx.Client) -> None:
        model = client.get("/v1/models").json()["data"][0]["id"]
        answer = client.post("/v1/embeddings", json={"model": model, "input": "A tab earns."})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["data"][0]["embedding"]) == 384

    def test_second_demo_on_the_same_data_is_refused(self, demo: Program, data: Path) -> None:
        told = run(DEMO, "--port", "0", "--data", str(data), "--no-browser")
        assert told.returncode == 1
        assert f"Another demo runs on {data}" in told.stderr
        assert "Traceback" not in told.stderr

    def test_killed_node_comes_back(self, demo: Program, data: Path, client: httpx.Client) -> None:
        os.kill(children(data)["reference-node"], signal.SIGKILL)
        until = time.monotonic() + 60
        while "Reference node is back." not in demo.text():
            assert time.monotonic() < until, demo.text()
            time.sleep(0.05)
        self.test_answers_a_request(client)

    def test_sigterm_stops_all(self, demo: Program, data: Path) -> None:
        pids = children(data)
        assert set(pids) == {"local-chain", "coordinator", "reference-node"}
        assert demo.stop() == 0, demo.text()
        assert not any(alive(pid) for pid in pids.values())
        assert not demo.ready_file.exists()
        assert "Traceback" not in demo.text()


def test_killed_demo_leaves_nothing_running(programs: Programs, tmp_path: Path) -> None:
    """And the data folder can be used again: what it kept is still there."""
    data = tmp_path / "data"
    demo = start_demo(programs, data, free_port())
    key = demo.ready(SET_UP_S)["api_key"]
    pids = children(data)
    demo.kill()
    wait_until_gone(pids)
    again = start_demo(programs, data, free_port())
    headers = {"authorization": f"Bearer {key}"}
    url = again.ready(SET_UP_S)["url"]
    answer = httpx.get(f"{url}/api/keys/current", headers=headers, trust_env=False)
    assert answer.status_code == 200, answer.text


def test_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        told = run(DEMO, "--port", port, "--data", str(tmp_path / "data"), "--no-browser")
    assert told.returncode == 1
    assert f"Port {port} is in use" in told.stderr
    assert "--port" in told.stderr
    assert "Traceback" not in told.stderr


def test_data_folder_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    data = tmp_path / "file" / "data"
    told = run(DEMO, "--port", "0", "--data", str(data), "--no-browser")
    assert told.returncode == 1
    assert f"Cannot write to the data folder {data}" in told.stderr
    assert "--data" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("command", ["demo", "test"])
def test_old_python_is_a_sentence(tmp_path: Path, command: str) -> None:
    """A PATH whose only python3 is one that says it is 3.9."""
    (tmp_path / "dirname").symlink_to(shutil.which("dirname") or "")
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$2" in *version_info*) exit 1;; esac\necho 3.9.2\n')
    python.chmod(0o755)
    told = run(str(ROOT / "build" / command), PATH=str(tmp_path))
    assert told.returncode == 1
    assert "needs Python 3.11 or newer, and python3 here is 3.9.2: install it" in told.stderr


def test_no_python_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "dirname").symlink_to(shutil.which("dirname") or "")
    told = run(DEMO, PATH=str(tmp_path))
    assert told.returncode == 1
    assert "there is no python3 here: install it" in told.stderr
