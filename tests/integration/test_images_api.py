"""``/v1/images/generations``: the official client unchanged, real sockets, a real native node."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from tests.support.grid import Grid
from tests.support.picture_grid import MODEL, PRICE, make_grid

#: One tile, and the model's own number of steps.
UNITS = 4


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    made = make_grid(tmp_path_factory.mktemp("grid"))
    # Nobody checks here, and of a new node only so many answers may wait for a check.
    made.settings += "[trust]\ncheck_within_s = 1\n"
    try:
        made.start()
        made.start_node("node", "images").ready()
        yield made
    finally:
        made.stop()


@pytest.fixture
def key(grid: Grid) -> str:
    return grid.make_key()


@pytest.fixture
def client(grid: Grid, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{grid.url}/v1", api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
def http(grid: Grid, key: str) -> Iterator[httpx.Client]:
    with grid.client(headers={"Authorization": f"Bearer {key}"}) as client:
        yield client


def draw(client: openai.OpenAI, **options: Any) -> Any:
    extra = {
        name: options.pop(name)
        for name in ("seed", "steps", "guidance", "negative_prompt", "public", "show_preview")
        if name in options
    }
    asked = {"model": MODEL, "prompt": "a red ball", **options}
    return client.images.generate(**asked, extra_body=extra)


def pixels(image: Any) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(image.b64_json)))


def credit(http: httpx.Client) -> dict[str, int]:
    answer: dict[str, int] = http.get("/api/keys/current").json()
    return answer


class TestAnswer:
    def test_a_picture_by_address_that_needs_no_key(
        self, client: openai.OpenAI, grid: Grid
    ) -> None:
        before = time.time()
        answer = draw(client)
        assert before - 2 < answer.created <= time.time()
        (image,) = answer.data
        assert image.b64_json is None
        assert image.url.startswith(f"{grid.url}/api/jobs/job_")
        with grid.client() as anybody:
            picture = anybody.get(image.url)
        assert picture.headers["content-type"] == "image/png"
        assert Image.open(BytesIO(picture.content)).size == (32, 32)

    def test_bytes_carry_what_they_were_made_of(self, client: openai.OpenAI) -> None:
        answer = draw(
            client, response_format="b64_json", seed=7, steps=3, size="64x32", guidance=2.5
        )
        image = pixels(answer.data[0])
        assert image.size == (64, 32)
        said = {name: image.info[name] for name in ("prompt", "seed", "steps", "size", "guidance")}
        assert said == {
            "prompt": "a red ball", "seed": "7", "steps": "3", "size": "64x32", "guidance": "2.5",
        }  # fmt: skip
        assert image.info["model"] == MODEL

    def test_n_pictures_are_of_seeds_in_a_row_and_paid_one_by_one(
        self, client: openai.OpenAI, http: httpx.Client
    ) -> None:
        before = credit(http)["credit"]
        answer = draw(client, n=10, seed=40, response_format="b64_json")
        assert [image.seed for image in answer.data] == list(range(40, 50))
        assert len({image.b64_json for image in answer.data}) == 10
        assert [pixels(image).info["seed"] for image in answer.data] == [
            str(seed) for seed in range(40, 50)
        ]
        assert answer.tabgrid["price"] == 10 * UNITS * PRICE
        assert before - credit(http)["credit"] == 10 * UNITS * PRICE
        assert len({image.job for image in answer.data}) == 10

    def test_the_same_seed_draws_the_same_and_none_draws_lots(self, client: openai.OpenAI) -> None:
        again = [draw(client, seed=5, response_format="b64_json").data[0] for _ in range(2)]
        assert again[0].b64_json == again[1].b64_json
        by_lot = [draw(client, response_format="b64_json").data[0] for _ in range(2)]
        assert by_lot[0].seed != by_lot[1].seed

    def test_details_say_what_openai_has_no_place_for(self, client: openai.OpenAI) -> None:
        details = draw(client, prompt="red " * 300, steps=2).tabgrid
        assert details == {
            "model": MODEL,
            "price": 2 * PRICE,
            "token": "TGT",
            "units": 2,
            "steps": 2,
            "size": "32x32",
            "truncated_texts": 1,
        }

    def test_model_and_size_may_be_left_to_the_grid(self, client: openai.OpenAI) -> None:
        answer = client.images.generate(prompt="a ball", size="auto", n=1, user="somebody")
        assert len(answer.data or ()) == 1

    async def test_the_async_client(self, grid: Grid, key: str) -> None:
        async with openai.AsyncOpenAI(base_url=f"{grid.url}/v1", api_key=key) as client:
            answers = await asyncio.gather(
                *(client.images.generate(model=MODEL, prompt=f"ball {n}") for n in range(6))
            )
        assert len({answer.data[0].url for answer in answers if answer.data}) == 6

    @pytest.mark.parametrize(
        "prompt", ["🐈‍⬛🎈", "كرة حمراء على طاولة", "<img src=x onerror=alert(1)>", "a\nb"]
    )
    def test_any_text_is_drawn_and_kept_as_it_is(self, client: openai.OpenAI, prompt: str) -> None:
        answer = draw(client, prompt=prompt, response_format="b64_json")
        assert pixels(answer.data[0]).info["prompt"] == prompt


class TestPrivacy:
    def test_a_private_picture_is_its_owners_only(
        self, client: openai.OpenAI, grid: Grid, http: httpx.Client
    ) -> None:
        job = draw(client).data[0].job
        path = f"/api/jobs/{job}/image.png"
        assert http.get(path).status_code == 200
        with grid.client() as anybody:
            assert anybody.get(path).status_code == 404
            assert anybody.get(f"/api/jobs/{job}").json()["output"] is None

    def test_a_public_one_is_everybodys(self, client: openai.OpenAI, grid: Grid) -> None:
        (image,) = draw(client, public=True).data
        assert image.url == f"{grid.url}/api/jobs/{image.job}/image.png"
        with grid.client() as anybody:
            assert anybody.get(image.url).status_code == 200


@pytest.mark.parametrize(
    ("options", "param", "said"),
    [
        ({"prompt": ""}, "prompt", "empty"),
        ({"prompt": " \n "}, "prompt", "empty"),
        ({"prompt": "x" * 10_000}, "prompt", "2000"),
        ({"prompt": "a\x07b"}, "prompt", "control character"),
        ({"negative_prompt": "x" * 2001}, "negative_prompt", "2000"),
        ({"n": 0}, "n", ">= 1"),
        ({"n": 1000}, "n", "<= 10"),
        ({"size": "1024x1024"}, "size", "32x32, 64x32"),
        ({"size": "huge"}, "size", "64x64"),
        ({"size": "32x32\n"}, "size", "64x64"),
        ({"seed": -1}, "seed", ">= 0"),
        ({"seed": 2**32}, "seed", "4294967295"),
        ({"seed": 2**32 - 2, "n": 3}, "seed", "4294967295"),
        ({"steps": 0}, "steps", ">= 1"),
        ({"steps": 21}, "steps", "1 to 20"),
        ({"guidance": 31}, "guidance", "30"),
        ({"response_format": "gif"}, "response_format", "gif"),
        ({"stream": True}, "stream", ""),
        ({"quality": "hd"}, "quality", "hd"),
        ({"style": "vivid"}, None, "style"),
        ({"model": "all-MiniLM-L6-v2"}, "model", "does not draw"),
    ],
)
def test_bad_input_is_refused_by_field_and_costs_nothing(
    http: httpx.Client, options: dict[str, Any], param: str | None, said: str
) -> None:
    body = {"model": MODEL, "prompt": "a ball", **options}
    answer = http.post("/v1/images/generations", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param), error
    assert said in error["message"]
    assert error["type"] == "invalid_request_error"
    assert credit(http) | {"held": 0, "spent": 0} == credit(http)


def test_refusals_are_the_clients_own_errors(client: openai.OpenAI, grid: Grid) -> None:
    with pytest.raises(openai.BadRequestError, match="2000"):
        draw(client, prompt="x" * 10_000)
    with pytest.raises(openai.NotFoundError, match="offers"):
        draw(client, model="dall-e-3")
    wrong = openai.OpenAI(base_url=f"{grid.url}/v1", api_key="tg_wrong", max_retries=0)
    with wrong, pytest.raises(openai.AuthenticationError):
        draw(wrong)


def test_what_the_key_cannot_pay_is_not_begun(client: openai.OpenAI, http: httpx.Client) -> None:
    """1,000,000 base units: of the last ten pictures five could be paid, so none is drawn."""
    for n in (10, 10, 10, 10, 5):
        draw(client, n=n, steps=20)
    with pytest.raises(openai.APIStatusError) as refused:
        draw(client, n=10, steps=20)
    assert refused.value.status_code == 402
    now = credit(http)
    assert (now["held"], now["spent"]) == (0, 45 * 20 * PRICE)


class TestLeaving:
    async def test_whoever_goes_has_all_pictures_cancelled(
        self, client: openai.OpenAI, grid: Grid, key: str, http: httpx.Client
    ) -> None:
        with grid.frozen():
            async with openai.AsyncOpenAI(base_url=f"{grid.url}/v1", api_key=key) as leaver:
                asked = asyncio.create_task(
                    leaver.images.generate(model=MODEL, prompt="a red ball", n=3)
                )
                await states(http, {"queued", "running"})
                asked.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asked
            await states(http, {"cancelled"})
        assert credit(http) | {"held": 0, "spent": 0} == credit(http)
        assert len(draw(client).data) == 1


async def states(http: httpx.Client, wanted: set[str]) -> None:
    """Until the three newest jobs are in one of these states."""
    async with asyncio.timeout(60):
        while True:
            answer = await asyncio.to_thread(http.get, "/api/jobs", params={"limit": 3})
            if {job["state"] for job in answer.json()["jobs"]} <= wanted:
                return
            await asyncio.sleep(0.05)


class TestQuotes:
    def quote(self, http: httpx.Client, **input: Any) -> Any:
        body = {"model": MODEL, "input": {"prompt": "a ball", **input}}
        return http.post("/api/quotes", json=body)

    def test_the_price_is_what_the_job_then_costs(self, http: httpx.Client) -> None:
        quoted = self.quote(http, steps=9).json()
        body = {"model": MODEL, "input": {"prompt": "a ball", "steps": 9}}
        job = http.post("/api/jobs", json=body, headers={"Prefer": "wait=60"}).json()
        assert (quoted["price"], quoted["units"]) == (job["price"], job["units"]) == (9 * PRICE, 9)
        assert (quoted["nodes"], quoted["unit"], quoted["token"]) == (1, "tile step", "TGT")
        assert quoted["seconds"] > 0

    def test_it_needs_no_key_and_refuses_as_the_job_would(self, grid: Grid) -> None:
        with grid.client() as anybody:
            assert self.quote(anybody).status_code == 200
            refused = self.quote(anybody, prompt=" ")
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt")
            large = {"model": "all-MiniLM-L6-v2", "input": {"texts": ["word " * 6000] * 3}}
            assert anybody.post("/api/quotes", json=large).status_code == 413
            unknown = anybody.post("/api/quotes", json={"model": "none", "input": {}})
            assert unknown.status_code == 404


def test_without_a_node_it_is_503_and_says_where_jobs_wait(
    client: openai.OpenAI, grid: Grid
) -> None:
    grid.nodes[0].stop()
    with pytest.raises(openai.InternalServerError, match="/api/jobs") as refused:
        draw(client)
    assert refused.value.status_code == 503
    assert int(refused.value.response.headers["retry-after"]) > 0
