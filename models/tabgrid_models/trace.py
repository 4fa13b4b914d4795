"""What lies between a picture's noise and its pixels, committed to so that it can be checked.

A node keeps the latents before the first step and after each later one. Their Merkle root is
in what it signs, and they travel with the answer. Only then is drawn which steps a reference
runs again, each from the latents that the node says it began with: a few steps and the decoder
cost a part of a whole picture, and a cheat must fake some of them.

    leaf   SHA-256(0x00 || "tabgrid/latents/v1" 0x00 || place as 4 bytes || the latents)
    root   SHA-256(0x02 || "tabgrid/latents/v1" 0x00 || count as 4 bytes || the tree's top)

Numbers have their big end first, latents are float32 with their little end first.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from tabgrid_wire import merkle

DOMAIN = b"tabgrid/latents/v1\0"
#: Bytes of all latents of one picture. They stay on the device until the picture is there and
#: are then read and sent at once: seven seconds at 5 Mbit/s, beside a picture that took minutes.
#: 64 latents of 512x512 pixels, 16 of SDXL's 1024x1024; a picture of 64x64 never comes near.
MAX_TRACE = 4 * 1024 * 1024
#: Latents that a reference is sent at once travel in one frame, which is little over 1 MiB.
MAX_SENT = 1024 * 1024
#: Stretches of a picture that are run again: two at least, and one of so many. One false step
#: can save all others: the right noise, then what lay between the steps of an older picture of
#: the same prompt. It must be found often enough for the fine, ten times what is won, to count.
DRAWN, ONE_OF = 2, 5


def kept(steps: int, size: int) -> tuple[int, ...]:
    """After how many steps latents of ``size`` bytes are kept: 0, the noise, to ``steps``.

    All of them, or every k-th with the least k that ``MAX_TRACE`` has room for. The last
    stretch may be shorter.
    """
    stretches = max(1, MAX_TRACE // size - 1)
    stride = math.ceil(steps / stretches)
    return (*range(0, steps, stride), steps)


def drawn(stretches: int, size: int) -> int:
    """How many of so many stretches are run again, with latents of ``size`` bytes.

    No more than can be sent at once, with the last latents and the input.
    """
    wanted = min(math.ceil(stretches / ONE_OF), MAX_SENT // size - 2)
    return min(stretches, max(DRAWN, wanted))


def root(latents: Sequence[bytes]) -> bytes:
    """What a node commits to."""
    leaves = [leaf(place, each) for place, each in enumerate(latents)]
    count = len(latents).to_bytes(4, "big")
    return sha256(b"\x02" + DOMAIN + count + merkle.top(leaves)).digest()


def leaf(place: int, latents: bytes) -> bytes:
    """The hash of what is kept in this place, from 0."""
    return merkle.leaf(DOMAIN + place.to_bytes(4, "big") + latents)


def split(trace: bytes, count: int) -> tuple[bytes, ...]:
    """``count`` latents of one size, as they travel one behind the other. Raises ValueError."""
    size, rest = divmod(len(trace), count)
    if rest or not size:
        raise ValueError(f"{len(trace)} bytes are not {count} latents of one size.")
    return tuple(trace[at : at + size] for at in range(0, len(trace), size))


def relative(reference: bytes, candidate: bytes) -> float:
    """Relative L2 distance of two arrays of float32; infinite where there is none."""
    one, other = array("f", reference), array("f", candidate)
    if len(one) != len(other):
        return math.inf
    length = math.hypot(*one)
    distance = math.dist(one, other) / length if length else math.inf
    # A NaN is no number that anything could be compared with.
    return distance if math.isfinite(distance) else math.inf


class Stretch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps that are run again in one go: after ``at`` of them the node had ``latents``."""

    at: int
    steps: int
    latents: bytes


class Recheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reference is asked for in place of the whole answer."""

    #: msgpack of the connector's input.
    input: bytes
    stretches: tuple[Stretch, ...]
    #: What the node says it decoded.
    last: bytes


class Rechecked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the reference found: the latents after each stretch, and the output."""

    after: tuple[bytes, ...]
    #: msgpack of the connector's output, as decoded from ``Recheck.last``.
    output: bytes


class Claimed(msgspec.Struct, frozen=True):
    """What a node says of the parts that a reference runs again."""

    #: The first of its latents: the noise.
    first: bytes
    asked: Recheck
    #: Its latents after each stretch of ``asked``.
    after: tuple[bytes, ...]
    #: msgpack of its output.
    output: bytes
    #: Which stretches these are of all that it committed to, from 0.
    places: tuple[int, ...]

    @property
    def sent(self) -> int:
        """Bytes that a reference is sent."""
        before = sum(len(stretch.latents) for stretch in self.asked.stretches)
        return len(self.asked.input) + before + len(self.asked.last)

    @property
    def size(self) -> int:
        return self.sent + len(self.first) + sum(map(len, self.after)) + len(self.output)


def claim(
    input: bytes,
    kept: Sequence[int],
    states: Sequence[bytes],
    places: Sequence[int],
    output: bytes,
) -> Claimed:
    """What a node says of the stretches that begin at ``places`` of what it ``kept``.

    ``input`` and ``output`` are msgpack, ``states`` one for each of ``kept``.
    """
    stretches = (Stretch(kept[at], kept[at + 1] - kept[at], states[at]) for at in places)
    asked = Recheck(input, tuple(stretches), states[-1])
    after = tuple(states[at + 1] for at in places)
    return Claimed(states[0], asked, after, output, tuple(places))


class Part(msgspec.Struct, frozen=True):
    """One part of a recheck: how far it was, and how far it may be."""

    name: str
    distance: float
    threshold: float
    #: Of a stretch, which one it is of all that the node committed to, from 0.
    place: int | None = None

    @property
    def share(self) -> float:
        """Above 1 is wrong."""
        return self.distance / self.threshold


def worst(parts: Sequence[Part]) -> Part:
    """The part that decides: the furthest beyond, or nearest to, what it may be."""
    return max(parts, key=lambda part: part.share)
