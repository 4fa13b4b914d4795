"""`tabgrid node` as its owner runs it, against a real grid."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.grid import Grid
from tests.support.programs import Program, Programs

MODEL = "all-MiniLM-L6-v2"
UNTIL_S = 60.0


def eventually(found: Callable[[], Any]) -> Any:
    """The first true thing that ``found`` returns, within a minute."""
    until = time.monotonic() + UNTIL_S
    while not (value := found()):
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)
    return value


class Owner:
    """Somebody who runs nodes for one grid, each with a wallet and a cache of its own."""

    def __init__(self, grid: Grid, folder: Path) -> None:
        self.grid = grid
        self.folder = folder
        self.programs = Programs(folder)

    def start(self, name: str, *options: str, wallet: str = "", cache: str = "") -> Program:
        """A node that tells its states in JSON; ``wallet`` and ``cache`` name others to share."""
        return self.programs.tabgrid(
            name,
            *("node", "--json", "--url", self.grid.url, "--create"),
            *("--keypair", str(self.folder / f"{wallet or name}.keypair.json")),
            *("--cache", str(self.folder / f"{cache or name}.cache")),
            *options,
        )


def statuses(node: Program) -> list[dict[str, Any]]:
    lines = node.text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def embed(grid: Grid, key: str, texts: list[str]) -> Any:
    with grid.client(headers={"Authorization": f"Bearer {key}"}) as client:
        return client.post("/v1/embeddings", json={"model": MODEL, "input": texts})


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """A grid without nodes."""
    grid = Grid(tmp_path_factory.mktemp("grid"))
    try:
        yield grid.start()
    finally:
        grid.stop()


@pytest.fixture
def owner(lone: Grid, tmp_path: Path) -> Iterator[Owner]:
    """Whose nodes end with the test."""
    owner = Owner(lone, tmp_path)
    yield owner
    owner.programs.stop()


def test_its_whole_life(owner: Owner) -> None:
    node, lone = owner.start("node"), owner.grid
    told = node.ready()
    answer = embed(lone, lone.make_key(), ["one", "two"])
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"]) == 2
    eventually(lambda: statuses(node)[-1]["earned"] > 0)
    with lone.client() as client:
        (listed,) = client.get("/api/nodes").json()["nodes"]
        wallet = client.get(f"/api/wallets/{told['wallet']}").json()
    assert (listed["wallet"], listed["host"], listed["jobs_done"]) == (told["wallet"], "native", 1)
    assert wallet["earned"] == statuses(node)[-1]["earned"]
    assert node.stop() == 0
    states = [status["state"] for status in statuses(node)]
    assert states[0] == "idle"
    assert {"loading", "ready", "working"} <= set(states)
    assert (states[-1], statuses(node)[-1]["message"]) == ("stopped", "Stopped.")


def test_a_large_answer_is_uploaded(owner: Owner) -> None:
    owner.start("node").ready()
    answer = embed(owner.grid, owner.grid.make_key(), [f"text {n}" for n in range(64)])
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"]) == 64
    job = answer.headers["x-tabgrid-job"]
    with owner.grid.client() as client:
        receipt = client.get(f"/api/receipts/{job}").json()
    blobs = owner.grid.folder / "data" / "blobs"
    (kept,) = blobs.glob("??/*")
    assert kept.name == receipt["result_hash"]
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == kept.name


def test_sigterm_while_a_job_runs_answers_it_first(owner: Owner) -> None:
    node = owner.start("node", "--threads", "1")
    node.ready()
    key = owner.grid.make_key()
    # Two runs of the graph with 2,048 tokens each: the signal finds it running.
    texts = [f"{number} " + "long text " * 150 for number in range(16)]
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(embed, owner.grid, key, texts)
        eventually(lambda: any(status["state"] == "working" for status in statuses(node)))
        node.signal(signal.SIGTERM)
        assert node.ended(UNTIL_S) == 0
        answer = asked.result(UNTIL_S)
    assert answer.status_code == 200, answer.text
    assert statuses(node)[-1]["jobs_done"] == 1


def test_a_coordinator_that_restarts_is_found_again(owner: Owner) -> None:
    node, lone = owner.start("node"), owner.grid
    node.ready()
    lone.coordinator.kill()
    gone = eventually(lambda: [s for s in statuses(node) if s["retry_in"] > 0])
    assert "Next try in" in gone[0]["message"]
    lone.coordinator = lone.start_coordinator()
    lone.coordinator.ready()
    key = lone.make_key()
    eventually(lambda: statuses(node)[-1]["state"] == "ready")
    assert embed(lone, key, ["again"]).status_code == 200
    loads = [s for s in statuses(node) if s["message"].startswith("Loading")]
    assert loads, "the model was loaded once, before the restart"
    assert loads[-1] in statuses(node)[: statuses(node).index(gone[0])]


def test_a_second_start_takes_its_weights_from_the_cache(owner: Owner) -> None:
    owner.start("first", cache="shared").ready()
    kept = owner.folder / "shared.cache" / "weights"
    before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    owner.start("second", "--device", "another", cache="shared").ready()
    assert {path.name: path.stat().st_mtime_ns for path in kept.iterdir()} == before


def test_a_damaged_weight_file_is_fetched_again(owner: Owner) -> None:
    first = owner.start("first", cache="shared")
    first.ready()
    first.stop()
    kept = owner.folder / "shared.cache" / "weights"
    largest = max(kept.iterdir(), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"damaged")
    owner.start("second", cache="shared").ready()
    assert hashlib.sha256(largest.read_bytes()).hexdigest() == largest.name
    assert embed(owner.grid, owner.grid.make_key(), ["right again"]).status_code == 200


def test_the_same_device_twice_stops_the_older_one(owner: Owner) -> None:
    older = owner.start("older", "--device", "one", wallet="same", cache="shared")
    older.ready()
    owner.start("newer", "--device", "one", wallet="same", cache="shared").ready()
    assert older.ended() == 1
    assert "already works for this wallet somewhere else" in statuses(older)[-1]["message"]


def test_it_does_not_sign_in_for_another_domain(owner: Owner) -> None:
    node = owner.start("node", "--domain", "bank.example")
    assert node.ended() == 1
    assert "names domain" in statuses(node)[-1]["message"]


def test_a_grid_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    owner = Owner(Grid(tmp_path / "none"), tmp_path)
    node = owner.start("node")
    eventually(lambda: any("cannot be reached" in s["message"] for s in statuses(node)))
    assert node.stop() == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--keypair", "none.json", "--url", "http://127.0.0.1:1"), "There is no keypair"),
        (("--keypair", "none.json", "--url", "127.0.0.1:1"), "must begin with http"),
        (("--url", "http://127.0.0.1:1"), "--keypair and --url are needed"),
        (("--self-test", "."), "There is no model in"),
    ],
)
def test_mistakes_end_with_a_sentence(
    programs: Programs, options: tuple[str, ...], sentence: str
) -> None:
    node = programs.tabgrid("node", "node", *options)
    assert node.ended() in (1, 2)
    assert sentence in node.text()
    assert "Traceback" not in node.text()
