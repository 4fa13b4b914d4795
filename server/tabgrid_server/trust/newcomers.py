"""How many strangers are let in: per day on the grid, and per network address."""

from __future__ import annotations

from typing import Self, TypeAlias

from .policy import DAY, Policy

#: The day and its count; wallets in probation by address, and since when; addresses by wallet.
Kept: TypeAlias = tuple[int, int, dict[str, dict[str, float]], dict[str, str]]


class Newcomers:
    """Wallets that no unit has been proven of, by the day and the address they came from."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._day = -1
        self._today = 0
        self._unproven: dict[str, dict[str, float]] = {}
        self._address: dict[str, str] = {}

    def knows(self, wallet: str) -> bool:
        return wallet in self._address

    def refusal(self, wallet: str, address: str, now: float) -> str | None:
        """Why this wallet may not begin now, or None if it may."""
        policy, day = self._policy, int(now // DAY)
        if self.knows(wallet):
            return None
        if day == self._day and self._today >= policy.newcomers_per_day:
            return (
                f"This grid takes {policy.newcomers_per_day} new wallets a day and today's places"
                " are taken. Come back tomorrow (UTC)."
            )
        waiting = self._waiting(address, now)
        if waiting >= policy.newcomers_per_address:
            return (
                f"As many wallets from your network address as may be at once ({waiting}) are in"
                " probation. Let one of them finish, or come back a day after it began."
            )
        return None

    def enter(self, wallet: str, address: str, now: float) -> None:
        """Give a wallet its place. Ask ``refusal`` first."""
        if self.knows(wallet):
            return
        day = int(now // DAY)
        self._today = self._today + 1 if day == self._day else 1
        self._day = day
        self._address[wallet] = address
        self._unproven.setdefault(address, {})[wallet] = now

    def proven(self, wallet: str) -> None:
        """The wallet is no stranger any more and makes room for another."""
        address = self._address.get(wallet, "")
        waiting = self._unproven.get(address, {})
        waiting.pop(wallet, None)
        if not waiting:
            self._unproven.pop(address, None)

    def dump(self) -> Kept:
        return self._day, self._today, self._unproven, self._address

    @classmethod
    def load(cls, policy: Policy, kept: Kept) -> Self:
        newcomers = cls(policy)
        newcomers._day, newcomers._today, newcomers._unproven, newcomers._address = kept
        return newcomers

    def _waiting(self, address: str, now: float) -> int:
        waiting = self._unproven.get(address, {})
        for wallet in [wallet for wallet, since in waiting.items() if since <= now - DAY]:
            del waiting[wallet]
        return len(waiting)
