from __future__ import annotations

import pytest

from tabgrid_server.trust.networks import around, household


@pytest.mark.parametrize(
    ("address", "house"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unknown", "unknown"),
    ],
)
def test_one_household_has_one_address(address: str, house: str) -> None:
    assert household(address) == house


@pytest.mark.parametrize(
    ("address", "site", "network"),
    [
        ("192.0.2.77", "", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "", "192.0.2.0/24"),
        ("2001:db8:1:2345::9", "2001:db8:1:2300::/56", "2001:db8:1::/48"),
        ("unknown", "", ""),
        ("", "", ""),
    ],
)
def test_around_a_household_lie_a_site_and_a_network(address: str, site: str, network: str) -> None:
    assert around(household(address)) == (site, network)
