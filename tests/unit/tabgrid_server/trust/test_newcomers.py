from __future__ import annotations

import msgspec

from tabgrid_server.trust import GoldensReturned, UnitOffered, memory
from tabgrid_server.trust.newcomers import Newcomers
from tabgrid_server.trust.policy import DAY, Policy
from tests.support.trusted import Grid, unit_of


def enter(newcomers: Newcomers, wallet: str, address: str, now: float) -> bool:
    if newcomers.refusal(wallet, address, now) is not None:
        return False
    newcomers.enter(wallet, address, now)
    return True


def test_a_day_has_only_so_many_places() -> None:
    newcomers = Newcomers(Policy(newcomers_per_day=2))
    assert [enter(newcomers, f"w{n}", f"a{n}", 10.0) for n in range(3)] == [True, True, False]
    assert "2 new wallets a day" in str(newcomers.refusal("w2", "a2", 10.0))
    assert enter(newcomers, "w2", "a2", DAY)


def test_who_was_let_in_needs_no_second_place() -> None:
    newcomers = Newcomers(Policy(newcomers_per_day=1))
    assert enter(newcomers, "w", "a", 0.0)
    assert enter(newcomers, "w", "another", 5 * DAY)
    assert enter(newcomers, "new", "a", 5 * DAY), "the known wallet took no place that day"


def test_an_address_has_few_wallets_in_probation_at_a_time() -> None:
    newcomers = Newcomers(Policy(newcomers_per_address=2))
    entered = [enter(newcomers, f"w{n}", "home", float(n)) for n in range(3)]
    assert entered == [True, True, False]
    assert enter(newcomers, "elsewhere", "office", 3.0)
    newcomers.proven("w0")
    assert enter(newcomers, "w2", "home", 4.0), "a proven wallet made room"
    assert not enter(newcomers, "w3", "home", 5.0)
    assert enter(newcomers, "w3", "home", 1 + DAY), "and so does a day"


def home(number: int) -> str:
    """One /64 of very many in 2001:db8:1::/48; 256 in a row are of one /56."""
    return f"2001:db8:1:{number:x}::/64"


def test_a_site_has_few_wallets_in_probation_however_many_homes_it_has() -> None:
    newcomers = Newcomers(Policy(newcomers_per_address=1, newcomers_per_site=2))
    assert [enter(newcomers, f"w{n}", home(n), 0.0) for n in range(3)] == [True, True, False]
    assert "an IPv6 /56" in str(newcomers.refusal("w2", home(2), 0.0))
    assert enter(newcomers, "w2", home(256), 0.0), "the next site"
    newcomers.proven("w0")
    assert enter(newcomers, "w3", home(3), 1.0), "a proven wallet made room"
    assert not enter(newcomers, "w4", home(4), 2.0)
    assert enter(newcomers, "w4", home(4), 1 + DAY), "and so does a day"


def test_a_network_takes_its_share_of_a_days_places_and_leaves_the_rest_to_others() -> None:
    policy = Policy(newcomers_per_day=100, newcomers_per_address=2, newcomers_per_site=2)
    assert policy.network_places == 5, "one in twenty"
    newcomers = Newcomers(policy)
    for n in range(100):  # each of another site, and proven before the next one comes
        enter(newcomers, f"w{n}", home(256 * n), float(n))
        newcomers.proven(f"w{n}")
    assert newcomers.dump().today == 5
    assert "no part may take more" in str(newcomers.refusal("w", home(0), 100.0))
    assert enter(newcomers, "other", "2001:db8:2:3::/64", 100.0)
    assert enter(newcomers, "w", home(0), DAY), "tomorrow it has its share again"


def test_addresses_beside_each_other_are_one_network() -> None:
    newcomers = Newcomers(Policy(newcomers_per_day=80, newcomers_per_address=1))
    entered = [enter(newcomers, f"w{n}", f"192.0.2.{n}", 0.0) for n in range(20)]
    assert sum(entered) == newcomers._policy.network_places == 6
    assert enter(newcomers, "w", "198.51.100.1", 0.0)


def test_a_wider_network_allows_no_less_than_what_is_in_it() -> None:
    policy = Policy(newcomers_per_day=9, newcomers_per_address=9, newcomers_network_share=1)
    newcomers = Newcomers(policy)
    assert all(enter(newcomers, f"w{n}", home(1), 0.0) for n in range(9))


def test_nobody_is_asked_whence_he_came_for_longer_than_it_matters() -> None:
    newcomers = Newcomers(Policy())
    for wallet, at in (("proven", 0.0), ("idle", 0.0), ("new", 2 * DAY)):
        enter(newcomers, wallet, f"192.0.2.{len(wallet)}", at)
        if wallet == "proven":
            newcomers.proven(wallet)
    assert newcomers.dump().home == {"proven": "", "idle": "", "new": "192.0.2.3"}
    assert newcomers.knows("idle")


def test_what_was_decided_before_networks_had_limits_is_told_again_without_them() -> None:
    grid = Grid(Policy(newcomers_per_address=1, newcomers_per_site=1, newcomers_network_share=1))
    grid.admit(unit_of("ann"), home(0))
    state = memory._decode(memory.dump(grid.trust))
    kept = state.newcomers
    # As it was written then: four fields, and a policy without limits of networks.
    state.newcomers = kept.day, kept.today, kept.unproven, kept.home
    then = msgspec.msgpack.decode(msgspec.msgpack.encode(state))
    for name in ("newcomers_per_site", "newcomers_network_share"):
        del then["policy"][name]
    told = []
    for number in range(1, 30):
        unit = unit_of(f"wallet-{number}")
        told += [UnitOffered(unit, home(number)), GoldensReturned(unit, True)]
    events = [(grid.now, event) for event in told]
    trust = memory.replayed(msgspec.msgpack.encode(then), events, grid.policy)
    assert len(trust.units) == 30, "as it was booked"
    now = memory.adopt(trust, grid.policy, grid.now)
    refusal = now.refusal(UnitOffered(unit_of("one more"), home(30)), grid.now)
    assert refusal is not None, "one that comes now finds the limits of now"
