"""Many rows with one statement, at the driver's own price.

SQLAlchemy writes the SQL once for each dialect; the rows then go to the driver as plain
tuples. Its ordinary path costs several times the insert itself for each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Executable
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
            connection.exec_driver_sql(self._text(connection), list(rows))

    def _text(self, connection: Connection) -> str:
        name = connection.dialect.name
        if name not in self._sql:
            self._sql[name] = str(self._statement.compile(dialect=connection.dialect))
        return self._sql[name]
