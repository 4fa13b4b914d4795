"""The official `openai` client, unchanged, against a real grid with a real native node."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.support.grid import Grid

MODEL = "all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def key(grid: Grid) -> str:
    return grid.make_key()


@pytest.fixture
def client(grid: Grid, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{grid.url}/v1", api_key=key, max_retries=0) as client:
        yield client


def cosine(a: list[float], b: list[float]) -> float:
    return math.sumprod(a, b) if hasattr(math, "sumprod") else sum(map(float.__mul__, a, b))


def test_similar_texts_are_near_and_usage_is_counted(client: openai.OpenAI) -> None:
    texts = ["A cat sat on the mat.", "The feline rested on the rug.", "Quarterly tax filing"]
    answer = client.embeddings.create(model=MODEL, input=texts)
    cat, feline, tax = (row.embedding for row in answer.data)
    assert len(cat) == 384
    assert cosine(cat, feline) > 0.5 > 0.2 > cosine(cat, tax)
    assert [row.index for row in answer.data] == [0, 1, 2]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 15


def test_a_known_answer(client: openai.OpenAI) -> None:
    """The first values of the original model for this sentence, from its model card's recipe."""
    answer = client.embeddings.create(model=MODEL, input="This is an example sentence")
    expected = [0.0676, 0.0635, 0.0487, 0.0793, 0.0374]
    assert answer.data[0].embedding[:5] == pytest.approx(expected, abs=4e-3)


def test_float_and_base64_agree(client: openai.OpenAI, grid: Grid, key: str) -> None:
    as_base64 = client.embeddings.create(model=MODEL, input="twice")
    as_floats = client.embeddings.create(model=MODEL, input="twice", encoding_format="float")
    assert as_base64.data[0].embedding == as_floats.data[0].embedding


async def test_the_async_client_works_in_parallel(grid: Grid, key: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{grid.url}/v1", api_key=key) as client:
        answers = await asyncio.gather(
            *(client.embeddings.create(model=MODEL, input=f"text {n}") for n in range(20))
        )
    assert len({tuple(answer.data[0].embedding) for answer in answers}) == 20


def test_a_batch_of_256_and_a_text_that_is_cut(client: openai.OpenAI) -> None:
    texts = [f"sentence number {n}" for n in range(255)] + ["word " * 1000]
    answer = client.embeddings.create(model=MODEL, input=texts)
    assert len(answer.data) == 256
    assert answer.usage.model_dump()["truncated_texts"] == 1
    alone = client.embeddings.create(model=MODEL, input=texts[0])
    assert alone.data[0].embedding == pytest.approx(answer.data[0].embedding, abs=1e-3)


def test_a_client_that_names_its_requests_is_served(client: openai.OpenAI) -> None:
    """As OpenAI does: the header means nothing here, so that each request is one of its own."""
    name = {"Idempotency-Key": "0c0f6f6e"}
    for text in ("one", "another"):
        answer = client.embeddings.create(model=MODEL, input=text, extra_headers=name)
        assert len(answer.data) == 1


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_bad_requests_raise_the_clients_own_errors(client: openai.OpenAI) -> None:
    for options, message in (
        ({"input": []}, "at least|between|length"),
        ({"input": ""}, "empty"),
        ({"input": ["fine", ""]}, "empty"),
        ({"input": [[1, 2, 3]]}, "[Tt]oken"),
        ({"input": [1, 2, 3]}, "[Tt]oken"),
        ({"input": "x", "dimensions": 64}, "384"),
        ({"input": "x", "encoding_format": "binary"}, "encoding_format|binary"),
        ({"input": ["x"] * 257}, "256"),
        ({"input": ["x"] * 10_000}, "256"),
    ):
        with pytest.raises(openai.BadRequestError, match=message):
            client.embeddings.create(**{"model": MODEL, **options})  # type: ignore[call-overload]
    with pytest.raises(openai.NotFoundError, match="offers"):
        client.embeddings.create(model="text-embedding-3-small", input="x")


def test_the_models_own_dimensions_are_accepted(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model=MODEL, input="x", dimensions=384)
    assert len(answer.data[0].embedding) == 384


def test_a_wrong_key_is_an_authentication_error(grid: Grid) -> None:
    url = f"{grid.url}/v1"
    with (
        openai.OpenAI(base_url=url, api_key="tg_wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.embeddings.create(model=MODEL, input="x")


def test_ten_megabytes_of_text_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.embeddings.create(model=MODEL, input="x" * 10_000_000)
    assert refused.value.status_code == 413


def test_invalid_utf8_is_refused(grid: Grid, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with grid.client() as client:
        body = b'{"model": "all-MiniLM-L6-v2", "input": "\xff\xfe"}'
        answer = client.post("/v1/embeddings", content=body, headers=headers)
    assert answer.status_code == 400
    assert "UTF-8" in answer.json()["error"]["message"]


def newest_state(http: httpx.Client) -> str:
    return str(http.get("/api/jobs", params={"limit": 1}).json()["jobs"][0]["state"])


def test_a_time_out_of_the_client_cancels_the_job(grid: Grid, key: str) -> None:
    """Its node has the job and does not answer; the client goes after two seconds."""
    url, timeout = f"{grid.url}/v1", httpx.Timeout(2)
    with (
        grid.frozen(),
        openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=timeout) as client,
        grid.client() as http,
    ):
        with pytest.raises(openai.APITimeoutError):
            client.embeddings.create(model=MODEL, input="It is waited for in vain.")
        until = time.monotonic() + 60
        while newest_state(http) != "cancelled":
            assert time.monotonic() < until
            time.sleep(0.05)
        held = http.get("/api/keys/current", headers={"Authorization": f"Bearer {key}"}).json()
        assert held["held"] == 0


def test_without_a_node_the_answer_is_503_with_retry_after(grid: Grid, key: str) -> None:
    grid.nodes[0].stop()
    headers = {"Authorization": f"Bearer {key}"}
    with grid.client() as client:
        body = {"model": MODEL, "input": "x"}
        answer = client.post("/v1/embeddings", json=body, headers=headers)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["error"]["code"] == "no_node"
