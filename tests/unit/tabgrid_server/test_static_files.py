"""Static files: types, encodings, caches, and names that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from tabgrid_server.static_files import IMMUTABLE, REVALIDATE, StaticAssets

PLAIN = {"accept-encoding": "identity"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    dist = tmp_path / "dist"
    (dist / "ort").mkdir(parents=True)
    (dist / "node.ABC.js").write_bytes(b"let a;")
    (dist / "node.ABC.js.br").write_bytes(b"brotli")
    (dist / "ort/wasm.1.wasm").write_bytes(b"\0asm")
    (dist / "manifest.json").write_bytes(b"{}")
    (dist / ".hidden").write_bytes(b"no")
    (tmp_path / "secret").write_bytes(b"no")
    app = Starlette(routes=[Mount("/static/dist", StaticAssets(dist))])
    with TestClient(app) as client:
        yield client


def test_brotli_for_whoever_takes_it(client: TestClient) -> None:
    # The test client would fail to decode these few bytes, so they are read raw.
    with client.stream(
        "GET", "/static/dist/node.ABC.js", headers={"accept-encoding": "gzip, br;q=0.9"}
    ) as answer:
        assert b"".join(answer.iter_raw()) == b"brotli"
    assert answer.headers["content-encoding"] == "br"
    assert answer.headers["content-length"] == "6"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("accepted", ["", "gzip", "br;q=0", "br; q=0.0", "brr"])
def test_plain_for_whoever_does_not(client: TestClient, accepted: str) -> None:
    answer = client.get("/static/dist/node.ABC.js", headers={"accept-encoding": accepted})
    assert answer.content == b"let a;"
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"


def test_wasm_has_the_type_that_streaming_needs(client: TestClient) -> None:
    answer = client.get("/static/dist/ort/wasm.1.wasm")
    assert answer.headers["content-type"] == "application/wasm"
    assert "vary" not in answer.headers


def test_hashed_names_are_kept_for_ever_and_the_list_of_names_is_not(client: TestClient) -> None:
    assert client.get("/static/dist/ort/wasm.1.wasm").headers["cache-control"] == IMMUTABLE
    assert client.get("/static/dist/manifest.json").headers["cache-control"] == REVALIDATE


def test_unchanged_is_304_per_encoding(client: TestClient) -> None:
    first = client.get("/static/dist/node.ABC.js", headers=PLAIN)
    again = client.get(
        "/static/dist/node.ABC.js", headers={**PLAIN, "if-none-match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(
        "/static/dist/node.ABC.js",
        headers={"accept-encoding": "br", "if-none-match": f'"x", W/{first.headers["etag"]}'},
    )
    assert other.headers["etag"] != first.headers["etag"]
    assert other.status_code == 200


def test_head_is_get_without_a_body(client: TestClient) -> None:
    answer = client.head("/static/dist/ort/wasm.1.wasm")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "4"


def test_ranges_only_of_what_is_sent_as_it_is(client: TestClient) -> None:
    answer = client.get("/static/dist/ort/wasm.1.wasm", headers={"range": "bytes=1-"})
    assert (answer.status_code, answer.content) == (206, b"asm")


@pytest.mark.parametrize(
    "path",
    [
        "/static/dist/",
        "/static/dist/ort",
        "/static/dist/.hidden",
        "/static/dist/..%2Fsecret",
        "/static/dist/%2e%2e/secret",
        "/static/dist/ort/..%2f..%2fsecret",
        "/static/dist/a%00b",
        "/static/dist/a%5Cb",
        "/static/dist//node.ABC.js",
        "/static/dist/" + "a" * 5000,
    ],
)
def test_names_that_lead_nowhere(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_other_methods_are_refused(client: TestClient) -> None:
    answer = client.post("/static/dist/node.ABC.js")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
