"""The algorithms that the grid knows: one module here each, found by being here.

A module says what it is by its ``CONNECTOR``. Nothing lists them, so adding an algorithm
changes no file; ``base`` holds what they share and is none.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from .base import AnyConnector

#: What is no connector: what all must say of themselves, and a part of one of them.
OTHERS = ("base", "picture_steps")


def _found() -> Iterator[AnyConnector]:
    """In the order of the modules' names; compiled ones count too (a tab has no sources)."""
    for module in pkgutil.iter_modules(__path__):
        if module.name not in OTHERS:
            yield importlib.import_module(f"{__name__}.{module.name}").CONNECTOR


CONNECTORS: Mapping[str, AnyConnector] = MappingProxyType(
    {connector.algorithm: connector for connector in _found()}
)


def connector(algorithm: str) -> AnyConnector:
    """The connector of that name. Raises ``LookupError`` for one this version lacks."""
    try:
        return CONNECTORS[algorithm]
    except KeyError:
        known = ", ".join(sorted(CONNECTORS))
        raise LookupError(f"No connector {algorithm!r} here; there are: {known}.") from None
