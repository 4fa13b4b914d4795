"""Statements for many rows, at the driver's own price.

SQLAlchemy writes the SQL once for each dialect; the rows then go to the driver's cursor
as plain tuples. Its ordinary path costs several times the insert itself for each row, and
for each statement more than a small batch of rows. Errors are SQLAlchemy's all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, Executable
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ClauseElement

Row = tuple[Any, ...]


class Bulk:
    """A statement to run for many rows.

    ``rows`` are in the order in which the statement's text names its parameters: for a
    bare ``table.insert()`` that is the table's order of columns. No type of SQLAlchemy
    converts anything on the way, so rows hold what the drivers take: str, int, float,
    bytes, bool, None.
    """

    def __init__(self, statement: Executable) -> None:
        assert isinstance(statement, ClauseElement)
        self._statement = statement
        self._sql: dict[str, str] = {}

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        if rows:
            sql = self._text(connection)
            with _cursor(connection, sql) as cursor:
                cursor.executemany(sql, rows)

    def _text(self, connection: Connection) -> str:
        name = connection.dialect.name
        if name not in self._sql:
            self._sql[name] = str(self._statement.compile(dialect=connection.dialect))
        return self._sql[name]


class Lookup:
    """Rows by a list of text keys, locked for the writer that asks.

    Both texts take the keys as their one parameter, SQLite's as a JSON list. They must
    sort the rows: one order for all writers, so that two cannot wait for each other.
    """

    def __init__(self, sqlite: str, postgresql: str) -> None:
        self._sqlite = sqlite
        self._postgresql = postgresql

    def run(self, connection: Connection, keys: Iterable[str]) -> list[Row]:
        wanted = sorted(set(keys))
        if connection.dialect.name == "postgresql":
            return fetch(connection, self._postgresql, (wanted,))
        return fetch(connection, self._sqlite, (msgspec.json.encode(wanted).decode(),))


def fetch(connection: Connection, sql: str, parameters: Row = ()) -> list[Row]:
    """All rows of a statement in the driver's own dialect."""
    with _cursor(connection, sql) as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


@contextmanager
def _cursor(connection: Connection, sql: str) -> Iterator[DBAPICursor]:
    """The driver's cursor, raising SQLAlchemy's errors."""
    dialect, held = connection.dialect, connection.connection
    cursor = held.cursor()
    try:
        yield cursor
    except dialect.loaded_dbapi.Error as error:
        lost = dialect.is_disconnect(error, held, cursor)
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            sql,
            None,
            error,
            dialect.loaded_dbapi.Error,
            connection_invalidated=lost,
            dialect=dialect,
        ) from error
    finally:
        cursor.close()
