"""Gives the x87 registers back after LiteSVM, which leaves them taken.

The code that LiteSVM compiles for programs uses MMX registers and does not end with EMMS. They
are the x87 registers too, and to the processor all eight are then in use: the next computation
there has no room and comes to "not a number". SQLite compares whole numbers with real ones there
(as long double, up to 3.46 at least): a query for times after another gave no row of ten, an
index was written in the wrong order, and a database became "malformed". A thread that is started
later begins with the registers of the one that starts it, so it was not only the chain's own.

What is only to be said is EMMS, which no library offers to Python.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from collections.abc import Callable

#: EMMS; RET.
_CODE = b"\x0f\x77\xc3"


def _emms() -> Callable[[], None]:
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return lambda: None  # there are no such registers
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except (AttributeError, OSError, ValueError):  # a system that lets nobody do this
        return lambda: None
    page.write(_CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    call = ctypes.CFUNCTYPE(None)(address)
    # The page must live as long as its function.
    return lambda page=page: call()  # type: ignore[misc]


give_back: Callable[[], None] = _emms()
