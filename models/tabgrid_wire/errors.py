"""What can be wrong with a conversation, and the close code that says so.

WireError
 ├── ProtocolError   the peer broke a rule: close the socket with its code
 └── SendError       we were about to: a mistake on this side
      ├── OutOfTurn  this message has no place here
      └── TooLarge   its frame would be larger than the peer accepts
"""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """Close codes of ``/ws/node``, after the HTTP status that they resemble."""

    BAD_FRAME = 4400
    NOT_SIGNED_IN = 4401
    OUT_OF_ORDER = 4402
    IDLE = 4408
    DUPLICATE_DEVICE = 4409
    TOO_LARGE = 4413
    #: The peer says things that this version does not know.
    VERSION = 4426
    TOO_MANY_FRAMES = 4429
    TOO_MANY_NODES = 4430
    #: It does not read what it is sent fast enough.
    SLOW_READER = 4431
    DRAINING = 4503


#: After these a node stops and tells its owner why: trying again cannot help until a
#: person has done something. After any other code, known or not, it tries again later.
STOP_CODES = {
    CloseCode.NOT_SIGNED_IN: "The grid does not know this session any more. Sign in again.",
    CloseCode.DUPLICATE_DEVICE: "This device already works for this wallet somewhere else.",
    CloseCode.VERSION: (
        "This node and the grid speak different versions. Update the node (in a tab: reload it)."
    ),
}


class WireError(Exception):
    """Base of everything that this package raises on purpose."""


class ProtocolError(WireError):
    """The peer broke a rule. ``reason`` fits a close frame (at most 123 bytes of UTF-8)."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        # RFC 6455 gives a control frame 125 bytes, two of which are the code.
        self.code = code
        self.reason = reason.encode(errors="replace")[:123].decode(errors="ignore")
        super().__init__(f"{self.reason} ({code})")


class SendError(WireError):
    """This side was about to break a rule; nothing was sent and no state has changed."""


class OutOfTurn(SendError):
    """The message has no place at this point of the conversation."""


class TooLarge(SendError):
    """The frame would be larger than ``MAX_FRAME``."""
