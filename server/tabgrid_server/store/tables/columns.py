"""What several tables spell alike: how rows are numbered, and indexes over some of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer, text

#: SQLite numbers rows by itself only where the key's type is spelt INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index over the rows that meet ``where``, which is SQL that both engines read."""
    return Index(
        name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where)
    )
