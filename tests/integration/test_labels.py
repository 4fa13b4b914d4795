"""A connector that nothing but its own file names, through the grid's own API."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.grid import Grid

TOPICS = ["sport", "economy", "weather", "cooking"]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """Its node works for the demo's grid of labels."""
    made = Grid(tmp_path_factory.mktemp("labels"))
    try:
        made.start()
        made.start_node("node", "labels").ready()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def client(grid: Grid) -> Iterator[httpx.Client]:
    with grid.client(headers={"Authorization": f"Bearer {grid.make_key()}"}) as client:
        yield client


def test_texts_are_sorted_and_paid_for_by_the_token(client: httpx.Client) -> None:
    body = {
        "model": "minilm-labels",
        "input": {"texts": ["Fry the onions.", "A late goal won the match."], "labels": TOPICS},
    }
    answer = client.post("/api/jobs", json=body, headers={"Prefer": "wait=60"})
    assert answer.status_code == 200, answer.text
    job = answer.json()
    likeliest = [TOPICS[row.index(max(row))] for row in job["output"]["scores"]]
    assert (job["state"], likeliest) == ("done", ["cooking", "sport"])
    assert job["price"] == 1000 * job["units"] == 1000 * job["usage"]["total_tokens"]


@pytest.mark.parametrize(
    ("input", "param"),
    [
        ({"texts": ["a"], "labels": ["b", "b"]}, "labels"),
        ({"texts": ["a", "\n"], "labels": ["b", "c"]}, "texts[1]"),
    ],
)
def test_a_refusal_names_its_field(
    client: httpx.Client, input: dict[str, list[str]], param: str
) -> None:
    answer = client.post("/api/jobs", json={"model": "minilm-labels", "input": input})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
