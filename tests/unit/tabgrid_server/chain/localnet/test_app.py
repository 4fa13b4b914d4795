"""What anybody may post: an answer or an error of JSON-RPC, never a crash."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair

from tabgrid_server.chain.localnet.app import answer
from tabgrid_server.chain.localnet.journal import Journal
from tabgrid_server.chain.localnet.machine import Machine
from tabgrid_server.chain.localnet.methods import METHODS, Methods

KEY = str(Keypair.from_seed(bytes(32)).pubkey())
CHAIN = Methods(Machine(Journal(None), lambda: 1_800_000_000.0))

JUNK: list[Any] = [
    [],
    [None],
    [7],
    ["x"],
    [{}],
    [[]],
    [KEY, "x"],
    [KEY, {"encoding": 7}],
    [KEY, {"commitment": []}],
    [KEY, {"before": {}, "limit": "x"}],
    [["1"] * 300],
    [[KEY, "x"]],
    ["1" * 5000],
    ["////", {"encoding": "base64"}],
    [-1],
    [2**70, 2**70],
    [KEY, -1],
    [KEY, 2**70],
    [KEY, {"mint": 7}],
    [[None]],
]


@pytest.mark.parametrize("method", METHODS)
def test_junk_is_an_error_never_a_crash(method: str) -> None:
    for params in JUNK:
        told = answer(CHAIN, msgspec.json.encode({"id": 7, "method": method, "params": params}))
        assert told["id"] == 7
        assert ("result" in told) != ("error" in told)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"7", -32600),
        (b"[]", -32600),
        (b"{}", -32600),
        (b'{"method":"getSlot","params":{}}', None),
        (b'{"method":"getSlot","params":7}', -32600),
        (b'{"method":"getNothing"}', -32601),
    ],
)
def test_requests_that_are_none(body: bytes, code: int | None) -> None:
    assert answer(CHAIN, body).get("error", {}).get("code") == code


PARAMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.just(KEY),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["encoding", "commitment", "limit", "mint"]), inner)
    ),
)


@given(st.sampled_from(list(METHODS)), st.lists(PARAMS, max_size=3))
@settings(deadline=None)
def test_any_parameters_have_an_answer(method: str, params: list[Any]) -> None:
    told = answer(CHAIN, msgspec.json.encode({"id": 1, "method": method, "params": params}))
    assert ("result" in told) != ("error" in told)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_have_an_answer(body: bytes) -> None:
    assert answer(CHAIN, body)
