"""The conversation of one node and the coordinator, without IO and for both sides.

``Connection.send`` turns a message into a frame, ``Connection.receive`` a frame into a
message. Both follow one table of turns, so what one side may say is by construction what
the other side accepts, and nothing beyond this file knows the order of things.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal, TypeAlias

import msgspec

from . import messages as m
from .errors import CloseCode, OutOfTurn, ProtocolError, TooLarge

Role = Literal["node", "coordinator"]
AnyMessage: TypeAlias = m.FromNode | m.ToNode


class Turn(Enum):
    """How far the conversation is."""

    OPENED = "opened"
    GREETED = "greeted"
    WELCOMED = "welcomed"
    SERVING = "serving"
    LEFT = "left"


_FROM_NODE: tuple[type[m.Message], ...] = m.FromNode.__args__
_TO_NODE: tuple[type[m.Message], ...] = m.ToNode.__args__

#: (turn, message) to the next turn; what is not here is out of order. Both directions
#: share a turn while frames cross on the wire, so each row of the coordinator's messages
#: repeats in every later turn that the node can have reached by itself.
TURNS: dict[tuple[Turn, type[m.Message]], Turn] = {
    (Turn.OPENED, m.Hello): Turn.GREETED,
    # A node that is refused at the door hears why before the socket closes.
    (Turn.OPENED, m.Error): Turn.OPENED,
    (Turn.GREETED, m.Error): Turn.GREETED,
    (Turn.GREETED, m.Welcome): Turn.WELCOMED,
    (Turn.GREETED, m.Bye): Turn.LEFT,
    # Before Ready a node has no leases of this connection, but perhaps an answer that it
    # computed while the last one was down.
    (Turn.WELCOMED, m.Ready): Turn.SERVING,
    (Turn.WELCOMED, m.Result): Turn.WELCOMED,
    (Turn.WELCOMED, m.Failed): Turn.WELCOMED,
    (Turn.WELCOMED, m.Paused): Turn.WELCOMED,
    (Turn.WELCOMED, m.Bye): Turn.LEFT,
    (Turn.WELCOMED, m.Settled): Turn.WELCOMED,
    (Turn.WELCOMED, m.Standing): Turn.WELCOMED,
    (Turn.WELCOMED, m.Drain): Turn.WELCOMED,
    (Turn.WELCOMED, m.Error): Turn.WELCOMED,
    (Turn.SERVING, m.Ready): Turn.SERVING,
    (Turn.SERVING, m.Progress): Turn.SERVING,
    (Turn.SERVING, m.Chunk): Turn.SERVING,
    (Turn.SERVING, m.Result): Turn.SERVING,
    (Turn.SERVING, m.Failed): Turn.SERVING,
    (Turn.SERVING, m.Paused): Turn.SERVING,
    (Turn.SERVING, m.Bye): Turn.LEFT,
    (Turn.SERVING, m.Assign): Turn.SERVING,
    (Turn.SERVING, m.Cancel): Turn.SERVING,
    (Turn.SERVING, m.Settled): Turn.SERVING,
    (Turn.SERVING, m.Standing): Turn.SERVING,
    (Turn.SERVING, m.Drain): Turn.SERVING,
    (Turn.SERVING, m.Error): Turn.SERVING,
    # Bye crosses whatever the coordinator had already sent.
    **{(Turn.LEFT, message): Turn.LEFT for message in _TO_NODE},
}

_DECODE: dict[Role, Any] = {
    "node": msgspec.msgpack.Decoder(m.ToNode).decode,
    "coordinator": msgspec.msgpack.Decoder(m.FromNode).decode,
}
_SPEAKS: dict[Role, frozenset[type[m.Message]]] = {
    "node": frozenset(_FROM_NODE),
    "coordinator": frozenset(_TO_NODE),
}
_encode = msgspec.msgpack.Encoder().encode


class Connection:
    """One side of one conversation. Frames go in and out as bytes; nothing here waits.

    ``minor`` is the addition to the version up to which the peer understands.
    """

    __slots__ = ("_decode", "_max_frame", "_speaks", "minor", "role", "turn")

    def __init__(self, role: Role, max_frame: int = m.MAX_FRAME, *, minor: int = m.MINOR) -> None:
        self.role: Role = role
        self.minor = minor
        self.turn = Turn.OPENED
        self._decode = _DECODE[role]
        self._speaks = _SPEAKS[role]
        self._max_frame = max_frame

    def send(self, message: AnyMessage) -> bytes:
        """The frame for ``message``. Raises ``OutOfTurn`` or ``TooLarge``, changing nothing."""
        kind = type(message)
        turn = TURNS.get((self.turn, kind))
        if turn is None or kind not in self._speaks:
            raise OutOfTurn(f"A {self.role} cannot say {kind.__name__} when {self.turn.value}.")
        if m.SINCE.get(kind, 0) > self.minor:
            raise OutOfTurn(f"This {kind.__name__} would not be understood: the peer is older.")
        frame = _encode(message)
        if len(frame) > self._max_frame:
            raise TooLarge(f"{kind.__name__} is {len(frame)} bytes; {self._max_frame} are allowed.")
        self.turn = turn
        return frame

    def receive(self, frame: bytes) -> Any:
        """The message in ``frame``: ``ToNode`` for a node, ``FromNode`` for a coordinator.

        Raises ``ProtocolError`` and nothing else, whatever the bytes are.
        """
        if len(frame) > self._max_frame:
            raise ProtocolError(
                CloseCode.TOO_LARGE,
                f"A frame of {len(frame)} bytes; {self._max_frame} are allowed.",
            )
        try:
            message = self._decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _not_understood(error) from error
        except RecursionError as error:
            raise ProtocolError(CloseCode.BAD_FRAME, "A frame is nested too deeply.") from error
        turn = TURNS.get((self.turn, type(message)))
        if turn is None:
            raise ProtocolError(
                CloseCode.OUT_OF_ORDER,
                f"{type(message).__name__} has no place when {self.turn.value}.",
            )
        self.turn = turn
        return message


def _not_understood(error: Exception) -> ProtocolError:
    """A sentence that we do not know is another version's; a broken one is broken."""
    text = str(error)
    # msgspec has one exception for both; tests/unit/tabgrid_wire pins these two texts.
    unknown_type = text.startswith("Invalid value") and text.endswith("at `$.type`")
    foreign = unknown_type or "unknown field" in text
    return ProtocolError(CloseCode.VERSION if foreign else CloseCode.BAD_FRAME, text)
