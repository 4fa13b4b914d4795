"""Commands on the chain that a grid's treasury is on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from .. import settings as config
from ..chain.approvals import ApprovalError
from ..chain.keys import KeyFileError
from ..chain.refusals import SignerUnavailable
from ..chain.rpc import Rpc, RpcError
from ..chain.treasury import TreasuryError
from ..store import StoreError

T = TypeVar("T")


def with_rpc(settings: config.Settings, work: Callable[[Rpc], Awaitable[T]]) -> T:
    """What ``work`` returns. What the chain, a key or the store refuses is one sentence."""

    async def run() -> T:
        async with Rpc(settings.chain.rpc) as rpc:
            return await work(rpc)

    if not settings.chain.rpc:
        raise click.UsageError("Which chain is the treasury on? Give --rpc URL.")
    try:
        return asyncio.run(run())
    except SignerUnavailable as error:
        raise click.ClickException(error.why) from error
    except (ApprovalError, KeyFileError, RpcError, StoreError, TreasuryError) as error:
        raise click.ClickException(str(error)) from error
