"""The treasury as those see it who pay in."""

from __future__ import annotations

from .deposits import Till
from .rpc import Rpc
from .treasury import Treasury


async def open_till(rpc: Rpc, treasury: Treasury) -> Till:
    """Raises ``TreasuryError`` if the account is not there, ``RpcError``."""
    owner = (await treasury.status(rpc)).owner
    return Till(
        account=str(treasury.account),
        owner=str(owner),
        mint=str(treasury.mint),
        program=str(treasury.token_program),
    )
