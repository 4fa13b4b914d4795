"""solders is Rust: some malformed input makes it panic, which Python sees as a BaseException.

``PanicException`` cannot be imported, and `except Exception` lets it through to kill the
process. Whoever hands outside bytes to solders does so inside ``foreign``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


def is_panic(error: BaseException) -> bool:
    return type(error).__name__ == "PanicException"


@contextmanager
def foreign(translate: Callable[[str], Exception]) -> Iterator[None]:
    """Turn whatever solders raises on bad data, panics too, into ``translate(text)``."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError) as error:
        raise translate(str(error)) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise translate(str(error)) from error
