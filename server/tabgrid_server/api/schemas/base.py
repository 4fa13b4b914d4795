"""What every body has in common: what comes in, what goes out, and how ids and keys look."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of bodies that come from outside: a field we do not know is a mistake to report."""


class Response(msgspec.Struct, frozen=True):
    """Base of bodies that go out: fields may be added in later versions."""


#: Base58 of 32 bytes.
Address = Annotated[str, Meta(pattern="^[1-9A-HJ-NP-Za-km-z]{32,44}$")]

#: 1,232 bytes, a Solana packet, are 1,644 characters of base64; a signed message is smaller.
Base64 = Annotated[str, Meta(pattern="^[A-Za-z0-9+/]*={0,2}$", max_length=4096)]

Label = Annotated[str, Meta(max_length=64)]
