"""Commands on a grid's own settings, database and chain, whether it runs or not."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import settings as config
from ..store import Store, StoreError

T = TypeVar("T")
AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])

rpc_option = click.option(
    "--rpc", multiple=True, help="JSON-RPC of the chain that the treasury is on."
)


def grid_options(command: AnyCommand) -> AnyCommand:
    """The options that say which grid: ``file``, ``data`` and ``database``."""
    folder = click.Path(path_type=Path, file_okay=False)
    for option in (
        click.option("--database", help="SQLAlchemy URL.  [default: SQLite in the data folder]"),
        click.option("--data", type=folder, help="The grid's folder."),
        click.option("--settings", "file", type=click.Path(path_type=Path, dir_okay=False)),
    ):
        command = option(command)
    return command


def own_settings(
    file: Path | None,
    data: Path | None,
    database: str | None,
    rpc: str | tuple[str, ...] | None = None,
) -> config.Settings:
    """What these options say. Raises ``SettingsError``."""
    flags = {"data": data and str(data), "database": database}
    given = {name: value for name, value in flags.items() if value is not None}
    chain = {"rpc": rpc} if rpc else {}
    return config.load(file, os.environ, {"server": given, "chain": chain})


def grid_group(described: Callable[[], None]) -> click.Group:
    """A group with the options that say which grid; its commands get that grid's ``Settings``."""
    return click.group()(grid_options(_settling(described)))


def chain_group(described: Callable[[], None]) -> click.Group:
    """A ``grid_group`` whose commands ask the chain: ``--rpc`` says which."""
    return click.group()(grid_options(rpc_option(_settling(described))))


def _settling(described: Callable[[], None]) -> Callable[..., None]:
    def settle(context: click.Context, /, **which: Any) -> None:
        try:
            context.obj = own_settings(**which)
        except config.SettingsError as error:
            raise click.ClickException(str(error)) from error

    return click.pass_context(functools.update_wrapper(settle, described))


@asynccontextmanager
async def open_store(settings: config.Settings) -> AsyncIterator[Store]:
    """The grid's store until the block ends. Raises ``StoreError``."""
    store = await Store.open(settings.database)
    try:
        yield store
    finally:
        await store.close()


def with_store(settings: config.Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    """What ``work`` returns. A database that cannot be used is one sentence, not a traceback."""

    async def run() -> T:
        async with open_store(settings) as store:
            return await work(store)

    try:
        return asyncio.run(run())
    except StoreError as error:
        raise click.ClickException(f"{settings.database}: {error}") from error
