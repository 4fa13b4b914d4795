"""Identifiers that sort by the time they were made: a prefix and a ULID.

``job_01HZX3K8…``: 10 characters of milliseconds, 16 of randomness, Crockford's base 32
(no I, L, O, U). The caller brings clock and randomness.
"""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Bytes of randomness in an identifier.
RANDOM = 10


def new_id(prefix: str, now_ms: int, random: bytes) -> str:
    """``{prefix}_{ULID}`` from milliseconds since 1970 and ten random bytes."""
    if len(random) != RANDOM or not 0 <= now_ms < 2**48:
        raise ValueError(f"An identifier needs {RANDOM} random bytes and 48 bits of time.")
    value = now_ms << 80 | int.from_bytes(random, "big")
    # 26 characters hold 130 bits; the 128 of a ULID lie right-aligned in them.
    return f"{prefix}_" + "".join(ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def time_ms(identifier: str) -> int:
    """Milliseconds since 1970 at which it was made. Raises ValueError if it is none."""
    _, _, ulid = identifier.rpartition("_")
    if len(ulid) != 26:
        raise ValueError("An identifier has 26 characters after its prefix.")
    value = 0
    for character in ulid[:10]:
        value = value << 5 | ALPHABET.index(character)
    return value
