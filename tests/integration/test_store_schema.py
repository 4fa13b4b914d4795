"""The tables that the queries are written for are the ones that the migrations build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from tabgrid_server import migrations
from tabgrid_server.proofs.epoch import Memo
from tabgrid_server.store import epochs
from tabgrid_server.store.database import open_database
from tabgrid_server.store.tables import metadata

_SQLITE = "SELECT type, name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version'"
_POSTGRES = (
    "SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND conname NOT LIKE 'alembic%'"
    " UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes"
    " WHERE schemaname = 'public' AND indexname NOT LIKE 'alembic%'"
    " UNION ALL SELECT 'column', table_name || '.' || column_name,"
    "  data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')"
    " FROM information_schema.columns"
    " WHERE table_schema = 'public' AND table_name NOT LIKE 'alembic%'"
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def make_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """make_url(name) -> a new, empty database of this engine."""
    if request.param == "sqlite":
        return lambda name: f"sqlite:///{tmp_path / name}"
    request.getfixturevalue("postgres_url")
    server = request.getfixturevalue("postgres_server")
    return lambda name: str(server.make_database())


def schema(connection: Connection) -> set[tuple[str, ...]]:
    """Every table, index, constraint and column, as the engine itself describes it."""
    query = _POSTGRES if connection.dialect.name == "postgresql" else _SQLITE
    rows = connection.exec_driver_sql(query)
    return {tuple(" ".join(str(word).split()) for word in row) for row in rows}


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


async def test_the_schema_is_the_sum_of_the_migrations(make_url: Callable[[str], str]) -> None:
    migrated, declared = open_database(make_url("migrated")), open_database(make_url("declared"))
    try:
        await migrated.write(migrations.upgrade)
        await declared.write(metadata.create_all)
        assert await migrated.read(schema) == await declared.read(schema)
        assert await migrated.read(differences) == []
        assert await migrated.read(migrations.current) == migrations.HEAD
    finally:
        await migrated.close()
        await declared.close()


async def test_migrating_again_changes_nothing(make_url: Callable[[str], str]) -> None:
    database = open_database(make_url("twice"))
    try:
        assert await database.read(migrations.current) is None
        await database.write(migrations.upgrade)
        before = await database.read(schema)
        await database.write(migrations.upgrade)
        assert await database.read(schema) == before
    finally:
        await database.close()


def scripts() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))
    return config


def test_head_is_the_newest_revision() -> None:
    assert ScriptDirectory.from_config(scripts()).get_heads() == [migrations.HEAD]


def upgrade_to(connection: Connection, revision: str) -> None:
    config = scripts()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def test_epochs_of_before_corrections_went_under_roots_keep_their_memo(
    make_url: Callable[[str], str],
) -> None:
    database = open_database(make_url("before"))
    try:
        await database.write(upgrade_to, "0014")
        root, before = "ab" * 32, "cd" * 32
        row = f"INSERT INTO epochs VALUES (7, 1, 4, 4, 2, '{root}', '{before}', 9.0" + ", NULL" * 6
        await database.write(lambda connection: connection.exec_driver_sql(row + ")").close())
        await database.write(migrations.upgrade)
        found = await database.read(epochs.latest)
        assert found is not None
        assert (found.memo, found.head) == (Memo(1, 7, 6, root, before), None)
    finally:
        await database.close()
