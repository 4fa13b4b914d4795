"""Whatever arrives in whatever order: a message or a ProtocolError, never anything else."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tabgrid_wire import messages as m
from tabgrid_wire.errors import OutOfTurn, ProtocolError
from tabgrid_wire.ids import ALPHABET, new_id, time_ms
from tabgrid_wire.protocol import TURNS, Connection, Turn

LIMITS = {"max_examples": 100, "deadline": None}
SIDES = st.sampled_from(["node", "coordinator"])


#: One value for each pattern: what an identifier looks like is not what this file varies.
PATTERNED = ("a" * 64, "lease_" + "0" * 26, "text")
i = msgspec.inspect
STRATEGIES: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    i.StructType: lambda t: st.builds(
        t.cls, **{field.encode_name: strategy(field.type) for field in t.fields}
    ),
    i.StrType: lambda t: (
        st.sampled_from([text for text in PATTERNED if re.search(t.pattern, text)])
        if t.pattern
        else st.text(max_size=20)
    ),
    i.BytesType: lambda t: st.binary(
        min_size=t.min_length or 0, max_size=min(t.max_length or 40, 64)
    ),
    i.IntType: lambda t: st.integers(t.ge, t.le),
    i.FloatType: lambda t: st.floats(0.001, t.le),
    i.LiteralType: lambda t: st.sampled_from(t.values),
    i.VarTupleType: lambda t: st.lists(
        strategy(t.item_type), min_size=t.min_length or 0, max_size=3
    ).map(tuple),
    i.UnionType: lambda t: st.one_of([strategy(option) for option in t.types]),
    i.BoolType: lambda t: st.booleans(),
    i.NoneType: lambda t: st.none(),
}


def strategy(shape: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, within its limits; a new kind of field is a KeyError here."""
    return STRATEGIES[type(shape)](shape)


def shaped_like(kind: Any) -> st.SearchStrategy[Any]:
    return strategy(i.type_info(kind))


FROM_NODE = st.one_of([shaped_like(kind) for kind in m.FromNode.__args__])
TO_NODE = st.one_of([shaped_like(kind) for kind in m.ToNode.__args__])


def receive(connection: Connection, frame: bytes) -> None:
    before = connection.turn
    try:
        message = connection.receive(frame)
    except ProtocolError:
        assert connection.turn is before
    else:
        assert TURNS[before, type(message)] is connection.turn


@given(SIDES, st.sampled_from(Turn), st.binary(max_size=300))
@settings(**LIMITS)
def test_random_bytes(role: Any, turn: Turn, frame: bytes) -> None:
    connection = Connection(role)
    connection.turn = turn
    receive(connection, frame)


@given(st.sampled_from(Turn), FROM_NODE | TO_NODE, st.data())
@settings(**LIMITS)
def test_mutated_frames(turn: Turn, message: Any, data: st.DataObject) -> None:
    frame = bytearray(msgspec.msgpack.encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(frame)))
    for role in ("node", "coordinator"):
        for damaged in (bytes(frame), bytes(frame[:cut])):
            connection = Connection(role)  # type: ignore[arg-type]
            connection.turn = turn
            receive(connection, damaged)


@given(FROM_NODE, TO_NODE)
@settings(**LIMITS)
def test_round_trips(said: Any, heard: Any) -> None:
    coordinator, node = Connection("coordinator"), Connection("node")
    for turn in Turn:
        coordinator.turn = node.turn = turn
        if (turn, type(said)) in TURNS:
            assert coordinator.receive(node.send(said)) == said
        coordinator.turn = node.turn = turn
        if (turn, type(heard)) in TURNS:
            assert node.receive(coordinator.send(heard)) == heard


@given(st.lists(st.tuples(SIDES, st.none() | FROM_NODE | TO_NODE), max_size=60))
@settings(**LIMITS)
def test_lawful_peers_never_look_unlawful_however_frames_cross(steps: list[Any]) -> None:
    """Each side says what its own table permits; the wire delays at will, and all is accepted."""
    ends = {"node": Connection("node"), "coordinator": Connection("coordinator")}
    wires: dict[str, deque[bytes]] = {"node": deque(), "coordinator": deque()}
    for side, message in steps:
        other = "coordinator" if side == "node" else "node"
        if message is None:
            if wires[side]:
                ends[side].receive(wires[side].popleft())
            continue
        try:
            frame = ends[side].send(message)
        except OutOfTurn:
            continue
        wires[other].append(frame)
    for side, wire in wires.items():
        for frame in wire:
            ends[side].receive(frame)


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_identifiers_keep_their_time(now_ms: int, random: bytes) -> None:
    made = new_id("job", now_ms, random)
    assert time_ms(made) == now_ms
    assert set(made[4:]) <= set(ALPHABET)
    msgspec.convert(made, m.Identifier)
