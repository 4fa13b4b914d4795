"""The whole way: a tab connects, opts in, earns, claims on chain, and the explorer shows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import openai
import pytest
from playwright.sync_api import expect

from tabgrid_node.backoff import CAP_S
from tests.support.grid import Grid
from tests.support.tab import Tab

MODEL = "all-MiniLM-L6-v2"
#: The demo's grid, with a release that a test can wait for.
SETTINGS = """
[grids.text]
release_s = 2
"""


def ask(grid: Grid, *texts: str) -> list[list[float]]:
    """What a user of the official client gets for these texts."""
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(base_url=f"{grid.url}/v1", api_key=grid.make_key(), http_client=http) as ai:
        answer = ai.embeddings.create(model=MODEL, input=list(texts))
    return [item.embedding for item in answer.data]


def read(grid: Grid, path: str, **options: Any) -> Any:
    with grid.client() as client:
        answer = client.get(path, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def until_served(grid: Grid) -> None:
    """Wait for a node that takes jobs.

    The longer a grid was away, the longer its nodes wait before the next try, half a minute
    after a slow start; a client that asks meanwhile is told 503, and gives up after two
    retries of 5 s.
    """
    until = time.monotonic() + 2 * CAP_S
    while not any(node["state"] == "ready" for node in read(grid, "/api/nodes")["nodes"]):
        assert time.monotonic() < until, "no node came back"
        time.sleep(0.1)


def job_until(grid: Grid, key: str, job: str, *states: str) -> dict[str, Any]:
    """The job as its owner sees it, once its events have brought it to one of these states."""
    headers = {"Authorization": f"Bearer {key}"}
    with (
        grid.client(headers=headers) as client,
        client.stream("GET", f"/api/jobs/{job}/events") as events,
    ):
        for _line in events.iter_lines():
            row: dict[str, Any] = client.get(f"/api/jobs/{job}").json()
            if row["state"] in states:
                return row
    raise AssertionError(f"the events of {job} ended before it was {states}: {row}")


@pytest.mark.timeout(400)  # SwiftShader needs 15 s for its first sentence, and tests itself first
@pytest.mark.parametrize(
    ("slug", "backend"), [("test-wallet", "wasm"), ("test-wallet", "webgpu"), ("demo-wallet", "")]
)
def test_a_tab_earns_and_is_paid(
    grid: Grid, open_tab: Callable[..., Tab], slug: str, backend: str
) -> None:
    tab = open_tab(grid.url, wallet=slug == "test-wallet").visit(backend)
    wallet = tab.connect(slug)
    tab.start().expect_state("ready")
    expect(tab.find("backend")).to_have_text("WebGPU" if backend == "webgpu" else "WASM")

    [vector, _other] = ask(grid, "A tab earns.", "Whoever opens one lends a GPU.")
    assert len(vector) == 384
    assert sum(x * x for x in vector) == pytest.approx(1, abs=1e-3)
    expect(tab.find("jobs-done")).to_have_text("1")
    tab.expect_money("earned").expect_money("claimable")
    [job] = read(grid, "/api/jobs", params={"wallet": wallet})["jobs"]
    assert job["backend"] == (backend or "wasm")

    expect(tab.find("claim")).to_be_enabled()
    tab.find("claim").click()
    expect(tab.find("claim-status")).to_have_attribute("data-state", "finalized")
    books = read(grid, f"/api/wallets/{wallet}")
    assert books["paid"] == books["earned"] > 0
    [claim] = read(grid, "/api/claims", params={"wallet": wallet})["claims"]

    page = tab.page
    page.locator("#claim-link").click()
    expect(page.get_by_test_id("job-row")).to_have_count(1)
    expect(page.locator("body")).to_contain_text("finalized")
    page.locator(f'a[title="{claim["signature"]}"]').click()
    expect(page.get_by_test_id("instruction-row")).to_have_count(6)
    expect(page.locator("body")).to_contain_text(f"tabgrid:{claim['id']}")
    expect(page.get_by_test_id("claim-state")).to_have_text("finalized")


@pytest.mark.timeout(400)  # the tab may wait a minute before its next try
def test_a_restarted_coordinator_is_found_again(grid: Grid, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(grid.url).visit("wasm")
    tab.connect()
    tab.start().expect_state("ready")
    grid.coordinator.kill()
    expect(tab.page.locator("#message")).to_contain_text("This tab keeps trying")
    expect(tab.page.locator("#start-hint")).to_contain_text("Next try in")
    grid.coordinator = grid.start_coordinator()
    grid.coordinator.ready()
    until_served(grid)
    # More than fits into a frame: the tab uploads it, and the page's policy lets it.
    assert len(ask(grid, *(f"Is anybody there? {n}" for n in range(48)))) == 48
    assert len(list((grid.folder / "data" / "blobs").glob("??/*"))) == 1
    tab.expect_state("ready")
    tab.expect_money("earned")


@pytest.mark.timeout(400)  # a slow adapter on purpose: the job must still run when the tab dies
def test_the_job_of_a_killed_tab_is_finished_by_another_node(
    grid: Grid, open_tab: Callable[..., Tab]
) -> None:
    tab = open_tab(grid.url).visit("webgpu")
    wallet = tab.connect()
    tab.start().expect_state("ready")
    key = grid.make_key()
    body = {"model": MODEL, "input": {"texts": [f"Sentence {n} of many." for n in range(64)]}}
    with grid.client(headers={"Authorization": f"Bearer {key}"}) as client:
        accepted = client.post("/api/jobs", json=body)
    assert accepted.status_code == 202, accepted.text
    job = accepted.json()["id"]
    tab.expect_state("working")
    tab.context.close()

    other = grid.start_node("other")
    other.ready()
    done = job_until(grid, key, job, "done", "failed")
    assert (done["state"], done["attempts"]) == ("done", 2)
    assert done["wallet"] != wallet
    assert read(grid, f"/api/wallets/{wallet}")["earned"] == 0
    other.stop()
