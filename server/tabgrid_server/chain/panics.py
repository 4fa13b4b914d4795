"""solders is Rust: some malformed input makes it panic, which Python sees as a BaseException.

``PanicException`` cannot be imported, and `except Exception` lets it through to kill the
process. Whoever hands outside bytes to solders does so inside ``foreign``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_USUAL = (ValueError, TypeError, OverflowError, LookupError, AttributeError)


def is_foreign(error: BaseException) -> bool:
    """Whether it is one of the ways in which solders refuses data. They share no base."""
    kind = type(error)
    return (
        isinstance(error, _USUAL)
        or kind.__module__.partition(".")[0] == "solders"
        or kind.__name__ == "PanicException"
    )


@contextmanager
def foreign(translate: Callable[[str], Exception]) -> Iterator[None]:
    """Turn whatever solders raises on bad data, panics too, into ``translate(text)``."""
    try:
        yield
    except BaseException as error:
        if not is_foreign(error):
            raise
        raise translate(str(error)) from error
