from __future__ import annotations

from tabgrid_server.trust.newcomers import Newcomers
from tabgrid_server.trust.policy import DAY, Policy


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
