"""Gaussian noise that is the same on every host, from a seed.

Uniform bits are the output of SHAKE128 (FIPS 202) over a label, the seed and the number of
the draw: a function that every host has in its hash library, so a draw costs one call and
no state. Two 32-bit words become two gaussians by Box and Muller's method (1958). What is
left to a host is its ``log``, ``sin`` and ``cos``, whose last bit in double precision moves
a float32 by one unit in its last place at most.
"""

from __future__ import annotations

import hashlib
import math
from array import array

DOMAIN = b"tabgrid/noise/v1\0"
#: 2**32: the words of a draw are so many.
WORDS = 4294967296.0


def gaussians(seed: int, draw: int, count: int, sigma: float = 1.0) -> array[float]:
    """``count`` float32 of standard deviation ``sigma``.

    ``seed`` has 64 bits, ``draw`` 32; the same two give the same numbers, and a longer
    draw begins with the shorter one.
    """
    words = _words(seed, draw, count + count % 2)
    # Half a step away from zero and one, so that the logarithm has an answer.
    radius = [sigma * math.sqrt(-2.0 * math.log((word + 0.5) / WORDS)) for word in words[0::2]]
    angle = [word * (2.0 * math.pi / WORDS) for word in words[1::2]]
    values = array("f", bytes(4 * len(words)))
    values[0::2] = array("f", [r * math.cos(a) for r, a in zip(radius, angle, strict=True)])
    values[1::2] = array("f", [r * math.sin(a) for r, a in zip(radius, angle, strict=True)])
    return values[:count]


def _words(seed: int, draw: int, count: int) -> memoryview:
    name = DOMAIN + seed.to_bytes(8, "little") + draw.to_bytes(4, "little")
    return memoryview(hashlib.shake_128(name).digest(4 * count)).cast("I")
