"""Each rule of the conversation broken once: which close code, and that nothing else happens."""

from __future__ import annotations

import msgspec
import pytest

from tabgrid_wire import messages as m
from tabgrid_wire.errors import STOP_CODES, CloseCode, OutOfTurn, ProtocolError, TooLarge
from tabgrid_wire.protocol import TURNS, Connection, Role, Turn

LEASE = "lease_" + "0" * 26
JOB = "job_" + "0" * 26
NODE = "node_" + "0" * 26
HELLO = m.Hello("tests", "native", "cpu", "a machine", "cpu:x86-64", "device", 1024, ("text",))
WELCOME = m.Welcome(NODE, "wallet", (), 30)
READY = m.Ready((m.LoadedModel("a" * 64, "q8", "q8", 100.0),))
RESULT = m.Result(LEASE, JOB, b"output", bytes(16), bytes(64), 3)


def at(turn: Turn, role: Role = "coordinator") -> Connection:
    connection = Connection(role)
    connection.turn = turn
    return connection


def code_of(connection: Connection, frame: bytes) -> CloseCode:
    turn = connection.turn
    with pytest.raises(ProtocolError) as caught:
        connection.receive(frame)
    assert connection.turn is turn
    assert len(caught.value.reason.encode()) <= 123
    return caught.value.code


def test_a_whole_conversation() -> None:
    node, coordinator = Connection("node"), Connection("coordinator")
    assign = m.Assign(LEASE, JOB, "text", "a" * 64, b"input", 30_000)
    for sender, receiver, message in (
        (node, coordinator, HELLO),
        (coordinator, node, WELCOME),
        (node, coordinator, READY),
        (coordinator, node, assign),
        (node, coordinator, m.Progress(LEASE, 1, 2, "embedding")),
        (node, coordinator, RESULT),
        (coordinator, node, m.Settled(JOB, 10, "TGT", 20)),
        (coordinator, node, m.Drain(30)),
        (node, coordinator, m.Bye("drained")),
    ):
        assert receiver.receive(sender.send(message)) == message
    assert node.turn is coordinator.turn is Turn.LEFT


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", CloseCode.BAD_FRAME),
        (b"\xc1", CloseCode.BAD_FRAME),
        (b"hello", CloseCode.BAD_FRAME),
        (msgspec.json.encode({"type": "bye"}), CloseCode.BAD_FRAME),
        (msgspec.msgpack.encode({}), CloseCode.BAD_FRAME),
        (msgspec.msgpack.encode({"type": 1}), CloseCode.BAD_FRAME),
        (msgspec.msgpack.encode({"type": "bye"}) + b"x", CloseCode.BAD_FRAME),
        (msgspec.msgpack.encode({"type": "bye", "reason": "x" * 501}), CloseCode.BAD_FRAME),
        (b"\x82\xa4type\xa3bye\xa6reason\xa2\xff\xfe", CloseCode.BAD_FRAME),
        (b"\x82\xa1x" + b"\x91" * 100_000, CloseCode.BAD_FRAME),
        (msgspec.msgpack.encode({"type": "hello2"}), CloseCode.VERSION),
        (msgspec.msgpack.encode({"type": "bye", "mood": 1}), CloseCode.VERSION),
        (bytes(m.MAX_FRAME + 1), CloseCode.TOO_LARGE),
        (msgspec.msgpack.encode({"type": "bye"}), CloseCode.OUT_OF_ORDER),
        (msgspec.msgpack.encode(READY), CloseCode.OUT_OF_ORDER),
    ],
)
def test_a_broken_first_frame(frame: bytes, code: CloseCode) -> None:
    assert code_of(Connection("coordinator"), frame) is code


@pytest.mark.parametrize("ending", ["\n", " ", "\0"])
def test_an_identifier_ends_where_it_ends(ending: str) -> None:
    message = m.Failed(LEASE + ending, JOB, "internal", "")
    assert code_of(at(Turn.SERVING), msgspec.msgpack.encode(message)) is CloseCode.BAD_FRAME


def test_hello_only_once() -> None:
    assert code_of(at(Turn.SERVING), msgspec.msgpack.encode(HELLO)) is CloseCode.OUT_OF_ORDER


def test_no_work_before_ready() -> None:
    coordinator = at(Turn.WELCOMED)
    with pytest.raises(OutOfTurn, match="Assign when welcomed"):
        coordinator.send(m.Assign(LEASE, JOB, "text", "a" * 64, b"", 1))
    assert coordinator.turn is Turn.WELCOMED


def test_an_answer_of_the_last_connection_may_come_before_ready() -> None:
    coordinator = at(Turn.WELCOMED)
    assert coordinator.receive(at(Turn.WELCOMED, "node").send(RESULT)) == RESULT


def test_each_side_speaks_only_its_own_lines() -> None:
    with pytest.raises(OutOfTurn):
        at(Turn.SERVING, "node").send(m.Settled(JOB, 1, "TGT", 0))
    with pytest.raises(OutOfTurn):
        at(Turn.SERVING, "coordinator").send(RESULT)


def test_a_frame_too_large_is_not_sent() -> None:
    large = m.Result(LEASE, JOB, bytes(m.MAX_FRAME), bytes(16), bytes(64), 3)
    with pytest.raises(TooLarge):
        at(Turn.SERVING, "node").send(large)


def test_the_largest_answer_of_the_first_connector_fits() -> None:
    """256 embeddings of 1,024 float32, as MAX_FRAME promises."""
    large = m.Result(LEASE, JOB, bytes(256 * 1024 * 4), bytes(16), bytes(64), 3)
    assert at(Turn.SERVING).receive(at(Turn.SERVING, "node").send(large)) == large


def test_a_blob_is_named_by_its_digest_and_has_a_size() -> None:
    named = m.Result(LEASE, JOB, b"", bytes(16), bytes(64), 3, m.Blob("a" * 64, m.MAX_BLOB))
    frame = at(Turn.SERVING, "node").send(named)
    assert at(Turn.SERVING).receive(frame) == named
    assert b"blob" not in at(Turn.SERVING, "node").send(RESULT)


@pytest.mark.parametrize(
    "blob",
    [
        m.Blob("A" * 64, 1),
        m.Blob("../" * 21 + "a", 1),
        m.Blob("a" * 63, 1),
        m.Blob("a" * 64 + "\n", 1),
        m.Blob("a" * 64, 0),
        m.Blob("a" * 64, -1),
        m.Blob("a" * 64, m.MAX_BLOB + 1),
    ],
)
def test_a_blob_that_cannot_be(blob: m.Blob) -> None:
    result = m.Result(LEASE, JOB, b"", bytes(16), bytes(64), 3, blob)
    assert code_of(at(Turn.SERVING), msgspec.msgpack.encode(result)) is CloseCode.BAD_FRAME


def test_the_table_knows_every_message() -> None:
    both = set(m.FromNode.__args__) | set(m.ToNode.__args__)
    assert {message for _, message in TURNS} == both


def test_every_turn_but_the_last_can_go_on() -> None:
    assert {turn for turn, _ in TURNS} == set(Turn)


def test_close_codes_are_the_applications_and_reasons_fit() -> None:
    assert all(4000 <= code <= 4999 for code in CloseCode)
    assert all(len(sentence) < 123 for sentence in STOP_CODES.values())
    assert len(ProtocolError(CloseCode.BAD_FRAME, "é" * 200).reason.encode()) <= 123


STANDING = m.Standing("a" * 64, "paused", "An answer was wrong.", job=JOB, appeal_until=1)


def test_an_older_node_is_told_nothing_that_it_would_not_understand() -> None:
    older = at(Turn.SERVING)
    older.minor = m.minor_of("tabgrid.v1")
    with pytest.raises(OutOfTurn, match="the peer is older"):
        older.send(STANDING)
    assert older.send(m.Drain(1)), "the conversation goes on"


def test_a_node_of_today_hears_how_its_answers_are_taken() -> None:
    for turn in (Turn.WELCOMED, Turn.SERVING):
        assert at(turn, "node").receive(at(turn).send(STANDING)) == STANDING


def test_the_newest_protocol_is_offered_first_and_the_oldest_still() -> None:
    assert m.SUBPROTOCOLS == ("tabgrid.v1.1", "tabgrid.v1")
    assert [m.minor_of(spoken) for spoken in m.SUBPROTOCOLS] == [m.MINOR, 0]
