"""When a whole class of devices computes wrong: its driver is at fault, and not its wallets."""

from __future__ import annotations

from typing import Literal

from .events import ClassKey
from .policy import HOUR, ONE, Policy, percent
from .state import WORKING, Unit

ClassState = Literal["open", "quarantined"]

CLASS_MOVES: frozenset[tuple[ClassState, ClassState]] = frozenset(
    {("open", "quarantined"), ("quarantined", "open")}
)


class DeviceClass:
    __slots__ = ("failed_tests", "key", "proven", "state", "units")

    def __init__(self, key: ClassKey) -> None:
        self.key = key
        self.state: ClassState = "open"
        self.units: list[Unit] = []
        #: Units that were proven, until their conviction is older than the window.
        self.proven: dict[str, Unit] = {}
        #: Wallets that failed the test of admission, and when.
        self.failed_tests: dict[str, float] = {}

    def move(self, to: ClassState) -> None:
        if (self.state, to) not in CLASS_MOVES:
            raise ValueError(f"class {self.key} cannot go from {self.state} to {to}")
        self.state = to

    def fault(self, policy: Policy, now: float) -> str | None:
        """Why the class is at fault for its wallets' mismatches, or None if it is not.

        Only wallets count that were proven before the window began: an attacker would need as
        many of them as all honest owners together to have his strikes taken for a bug.
        """
        since = now - policy.class_window_s
        checked = failed = 0
        for wallet, unit in list(self.proven.items()):
            if unit.struck_at < since and unit.state not in WORKING:
                del self.proven[wallet]
            elif unit.proven_at <= since <= unit.checked_at:
                checked += 1
                failed += unit.struck_at >= since
        if failed < policy.class_wallets or failed * ONE < checked * policy.class_share:
            return None
        return (
            f"{failed} of {checked} proven wallets with this kind of device"
            f" ({self.key.device_class}, {self.key.dtype}) failed checks within"
            f" {policy.class_window_s / HOUR:.0f} hours; from {percent(policy.class_share)} on the"
            " device is at fault."
        )

    def test_fault(self, policy: Policy, now: float) -> str | None:
        """Why no further unit of the class need be tested now, or None if tests make sense.

        Proven wallets speak for the class: strangers alone cannot close it to others.
        """
        since = now - policy.class_window_s
        if any(unit.state == "proven" for unit in self.proven.values()):
            return None
        failed = sum(at >= since for at in self.failed_tests.values())
        if failed < policy.class_wallets or any(unit.state in WORKING for unit in self.units):
            return None
        return (
            f"{failed} wallets with this kind of device ({self.key.device_class}, {self.key.dtype})"
            " computed known answers wrong, and none computes them right: the model is not"
            " supported on it here. That is no fault of yours."
        )
