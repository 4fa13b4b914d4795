"""How many strangers one network brings in a day, over the real socket behind a real header."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from solders.keypair import Keypair

from tabgrid_server.bench.client import RawNode, sign_in
from tabgrid_wire import messages as wire
from tests.integration.conftest import EchoGrid
from tests.integration.test_audits import MODEL
from tests.integration.test_standing import until

#: One in twenty of 40 places are two.
TRUST = """
[trust]
newcomers_per_day = 40
newcomers_per_address = 1
newcomers_per_site = 1
"""


@asynccontextmanager
async def joined(grid: EchoGrid, address: str) -> AsyncIterator[RawNode]:
    """A node with a new wallet, as the operator's proxy passes it on."""
    wallet, worker, device = Keypair(), Keypair(), f"device-{Keypair().pubkey()}"[:24]
    token = await sign_in(grid.url, wallet, worker, device)
    behind = {"X-Forwarded-For": address}
    node = await RawNode.open(grid.url, token, wallet, worker, wire.SUBPROTOCOLS, **behind)
    try:
        await node.join("bench", device=device)
        yield node
    finally:
        await node.close()


async def test_a_network_of_thousands_of_addresses_takes_its_share_and_no_more(
    make_echo_grid: Callable[..., EchoGrid],
) -> None:
    reference = f'reference_wallets = ["{Keypair().pubkey()}"]'
    grid = make_echo_grid(model=MODEL, scheduling=reference + TRUST)
    grid.start(TABGRID_SERVER_PROXIES="127.0.0.1")
    told = []
    async with AsyncExitStack() as stack:
        for address in (
            "2001:db8:1:100::1",
            "2001:db8:1:101::1",  # of the same /56
            "2001:db8:1:200::1",
            "2001:db8:1:300::1",  # of the same /48 as two before
            "2001:db8:2:100::1",
        ):
            node = await stack.enter_async_context(joined(grid, address))
            told.append(await until(node, wire.Standing))
    assert [each.state for each in told] == [
        "probation", "refused", "probation", "refused", "probation",
    ]  # fmt: skip
    assert "an IPv6 /56" in told[1].reason
    assert told[3].reason.startswith("2 new wallets came from your part of the network today")
    assert told[3].test, "it may be worth another try tomorrow"
