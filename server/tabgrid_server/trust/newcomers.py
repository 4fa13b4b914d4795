"""How many strangers are let in: per day on the grid, and per network that they come from.

Networks are nested (see ``networks``), and each width has a limit of its own, for a reason of its
own: a home has a few devices, a provider's customer a few homes, and no network of one owner may
take the places of all others. No width allows less than a narrower one in it.
"""

from __future__ import annotations

from collections import Counter
from typing import Self, TypeAlias

import msgspec

from .networks import around
from .policy import DAY, Policy

#: Wallets in probation, and since when, by home or site.
Waiting: TypeAlias = dict[str, dict[str, float]]


class Kept(msgspec.Struct, array_like=True):
    """The day and its count; wallets in probation by home, and since when; homes by wallet."""

    day: int
    today: int
    unproven: Waiting
    home: dict[str, str]
    #: The day's places by network. None in what was kept before networks had limits.
    networks: dict[str, int] | None = None


class Newcomers:
    """Wallets that no unit has been proven of, by the day and the network they came from."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._day = -1
        self._today = 0
        self._networks: Counter[str] = Counter()
        self._homes: Waiting = {}
        self._sites: Waiting = {}
        #: "" once nobody need know any more.
        self._home: dict[str, str] = {}

    def knows(self, wallet: str) -> bool:
        return wallet in self._home

    def refusal(self, wallet: str, home: str, now: float) -> str | None:
        """Why this wallet may not begin now, or None if it may.

        ``home`` is what stands for one household.
        """
        if self.knows(wallet):
            return None
        return self._full_day(now) or self._full_home(home, now) or self._full_around(home, now)

    def enter(self, wallet: str, home: str, now: float) -> None:
        """Give a wallet its place. Ask ``refusal`` first."""
        if self.knows(wallet):
            return
        if int(now // DAY) != self._day:
            self._begin_day(now)
        site, network = around(home)
        self._today += 1
        if network:
            self._networks[network] += 1
        self._await(wallet, home, site, now)

    def proven(self, wallet: str) -> None:
        """The wallet is no stranger any more and makes room for another."""
        home = self._home.get(wallet)
        if not home:
            return
        self._home[wallet] = ""
        for waiting, place in ((self._homes, home), (self._sites, around(home).site)):
            wallets = waiting.get(place, {})
            wallets.pop(wallet, None)
            if not wallets:
                waiting.pop(place, None)

    def dump(self) -> Kept:
        return Kept(self._day, self._today, self._homes, self._home, dict(self._networks))

    @classmethod
    def load(cls, policy: Policy, kept: Kept) -> Self:
        newcomers = cls(policy)
        newcomers._day, newcomers._today = kept.day, kept.today
        newcomers._networks = Counter(kept.networks or {})
        newcomers._home = dict.fromkeys(kept.home, "")
        for home, wallets in kept.unproven.items():
            for wallet, since in wallets.items():
                newcomers._await(wallet, home, around(home).site, since)
        return newcomers

    # --- limits -----------------------------------------------------------------------

    def _full_day(self, now: float) -> str | None:
        places = self._policy.newcomers_per_day
        if int(now // DAY) != self._day or self._today < places:
            return None
        return (
            f"This grid takes {places} new wallets a day and today's places are taken. Come back"
            " tomorrow (UTC)."
        )

    def _full_home(self, home: str, now: float) -> str | None:
        places = self._policy.newcomers_per_address
        if _waiting(self._homes, home, now) < places:
            return None
        return (
            f"As many wallets from your network address as may be at once ({places}) are in"
            " probation. Let one of them finish, or come back a day after it began."
        )

    def _full_around(self, home: str, now: float) -> str | None:
        policy, (site, network) = self._policy, around(home)
        if site and _waiting(self._sites, site, now) >= policy.site_places:
            return (
                "As many wallets from the connection that your address belongs to (an IPv6 /56)"
                f" as may be at once ({policy.site_places}) are in probation. Let one of them"
                " finish, or come back a day after it began."
            )
        today = self._networks[network] if int(now // DAY) == self._day else 0
        if network and today >= policy.network_places:
            return (
                f"{policy.network_places} new wallets came from your part of the network today"
                " (an IPv4 /24, an IPv6 /48), and no part may take more of a day's places. Come"
                " back tomorrow (UTC)."
            )
        return None

    # --- books ------------------------------------------------------------------------

    def _await(self, wallet: str, home: str, site: str, since: float) -> None:
        self._home[wallet] = home
        self._homes.setdefault(home, {})[wallet] = since
        if site:
            self._sites.setdefault(site, {})[wallet] = since

    def _begin_day(self, now: float) -> None:
        """Of those in probation for longer than a day nobody need know whence they came."""
        self._day, self._today = int(now // DAY), 0
        self._networks.clear()
        for waiting in (self._homes, self._sites):
            for place, wallets in list(waiting.items()):
                for wallet in [wallet for wallet, since in wallets.items() if since <= now - DAY]:
                    del wallets[wallet]
                    self._home[wallet] = ""
                if not wallets:
                    del waiting[place]


def _waiting(places: Waiting, place: str, now: float) -> int:
    return sum(since > now - DAY for since in places.get(place, {}).values())
