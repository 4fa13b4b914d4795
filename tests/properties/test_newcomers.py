"""However many addresses somebody has: no network takes more of a day than its limit, and whoever
is refused was refused for a limit that is reached."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tabgrid_server.trust.networks import around
from tabgrid_server.trust.newcomers import Newcomers
from tabgrid_server.trust.policy import DAY, ONE, Policy

#: Few enough of each width that they meet.
HOMES = tuple(
    f"2001:db8:{network:x}:{site << 8 | home:x}::/64"
    for network in (1, 2)
    for site in (0, 1)
    for home in (0, 1, 2)
) + tuple(f"192.0.{network}.{home}" for network in (1, 2) for home in (1, 2, 3))

policies = st.builds(
    Policy,
    newcomers_per_day=st.integers(1, 12),
    newcomers_per_address=st.integers(1, 3),
    newcomers_per_site=st.integers(1, 4),
    newcomers_network_share=st.sampled_from([1, ONE // 4, ONE // 2, ONE]),
)
#: From where, how long after the last one, and whether the wallet is proven by then.
comings = st.lists(
    st.tuples(st.sampled_from(HOMES), st.sampled_from([0.0, 60.0, DAY / 3]), st.booleans()),
    max_size=60,
)


@given(policies, comings)
def test_no_network_takes_more_than_its_limit(
    policy: Policy, comings: list[tuple[str, float, bool]]
) -> None:
    newcomers = Newcomers(policy)
    now = 10 * DAY
    entered: list[tuple[str, str, float]] = []
    proven: set[str] = set()
    for number, (home, later, is_proven) in enumerate(comings):
        now += later
        wallet = f"wallet-{number}"
        refusal = newcomers.refusal(wallet, home, now)
        day = [each for each in entered if each[2] // DAY == now // DAY]
        waiting = [each for each in entered if each[2] > now - DAY and each[0] not in proven]
        site, network = around(home)
        full = (
            len(day) >= policy.newcomers_per_day
            or Counter(each[1] for each in waiting)[home] >= policy.newcomers_per_address
            or (site and _of(waiting, site, 0) >= policy.site_places)
            or _of(day, network, 1) >= policy.network_places
        )
        assert bool(refusal) == bool(full)
        if refusal is None:
            newcomers.enter(wallet, home, now)
            entered.append((wallet, home, now))
            if is_proven:
                newcomers.proven(wallet)
                proven.add(wallet)
        newcomers = Newcomers.load(policy, newcomers.dump())


def _of(some: list[tuple[str, str, float]], place: str, width: int) -> int:
    return sum(around(home)[width] == place for _, home, _ in some)
