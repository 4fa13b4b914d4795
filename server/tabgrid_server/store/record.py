"""What all rows have in common as structs."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base: frozen, keyword only. Times in unix seconds, amounts in base units."""
