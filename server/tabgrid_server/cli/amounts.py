"""Amounts as operators read them."""

from __future__ import annotations

from .. import settings as config


def money(settings: config.Settings, units: int) -> str:
    """Base units in the grid's token: "1,234.500000 TGT"."""
    whole, rest = divmod(units, 10**settings.chain.decimals)
    cents = f".{rest:0{settings.chain.decimals}d}" if settings.chain.decimals else ""
    return f"{whole:,}{cents} {settings.chain.symbol}"
