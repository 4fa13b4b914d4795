"""Logs of a command that runs inside the tests' own process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

_Logger = type(structlog.get_logger())


@contextmanager
def own_logs() -> Iterator[None]:
    """What a command sets up for its logs ends with it, as if it had a process of its own.

    Else what its modules log in later tests goes where its standard error was, and is lost: a
    logger keeps the configuration under which it is first used.
    """
    config, root = structlog.get_config(), logging.root
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        structlog.configure(**config)
        root.handlers[:], root.level = handlers, level
        for name, module in list(sys.modules.items()):
            log = vars(module).get("log") if name.startswith("tabgrid_") else None
            if isinstance(log, _Logger):
                vars(log).pop("bind", None)
