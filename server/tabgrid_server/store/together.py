"""A query that many run at once, in a few statements for all of them.

Most of what a query costs is its statements, and one statement can do for fifty what it does for
one. So a query may have a namesake that does the ordinary case for many. What is not ordinary it
leaves alone, and that is done as ever: the rules stay in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Concatenate, Final, Generic, Literal, ParamSpec, TypeVar

from sqlalchemy import Connection

P = ParamSpec("P")
T = TypeVar("T")


class _Left(Enum):
    LEFT = "left"


#: What a namesake says of a call that it did nothing for: it is to be made alone.
LEFT: Final = _Left.LEFT
Left = Literal[_Left.LEFT]
#: Takes the arguments of several calls, and says what came of each, in their order. Whatever it
#: raises, nothing of it may be kept, and each call is made alone.
Many = Callable[[Connection, Sequence[Any]], Sequence[Any]]


class Together(Generic[P, T]):
    """``one`` as it is, which ``many`` does for several calls at once."""

    def __init__(self, one: Callable[Concatenate[Connection, P], T], many: Many) -> None:
        self.one = one
        self.many = many

    def __call__(self, connection: Connection, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.one(connection, *args, **kwargs)

    def all_of(self, calls: Sequence[Any]) -> Callable[[Connection], Sequence[Any]]:
        """All of them, with the arguments of each."""
        return lambda connection: self.many(connection, calls)
