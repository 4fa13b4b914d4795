"""The figures that trust is decided by. Whole millionths for probabilities and logarithms.

A millionth is fine enough for any probability here, and whole numbers give everybody who
recomputes a decision the same answer.
"""

from __future__ import annotations

import math

import msgspec

#: 1 in millionths.
ONE = 1_000_000
HOUR = 3600
DAY = 24 * HOUR


class Policy(msgspec.Struct, frozen=True):
    """Seconds, jobs, or millionths. An operator's settings may become another one of these."""

    #: Inputs with known answers before a unit's first paid job. Five wrong answers of a device
    #: that is wrong one time in two are missed once in 32.
    goldens: int = 5
    #: The first jobs of a unit, every one of them checked. A node of 5 % wrong answers hides in
    #: 50 jobs one time in 13.
    probation_jobs: int = 50
    #: Afterwards never fewer: below it a proven node could cheat for weeks unseen.
    least_audit: int = 50_000
    #: A cheat loses this many times what it can win. 1 would do if every check found it and
    #: everybody could count; 10 leaves room for both.
    margin: int = 10
    #: What a cheat saves, as a share of the price: nearly all, since noise costs nothing.
    gain: int = ONE
    #: The share of wrong answers that a check finds.
    power: int = 950_000
    #: Answers of a unit that is not proven which wait for a look, and those of all such units of
    #: a wallet: at so many it gets no further jobs until half of them are looked at. Where
    #: references are slow nobody is sent more unchecked answers of one stranger; what is looked
    #: at takes a reference seconds, so an honest one hardly waits.
    unproven_per_unit: int = 50
    unproven_per_wallet: int = 150
    #: Earnings become claimable after this many further jobs of the unit and this time: long
    #: enough that a sleeper has more to lose than one bad day brings.
    release_jobs: int = 400
    release_s: float = 72 * HOUR
    #: Or after this time alone: who stops working is paid for the last jobs too.
    release_idle_s: float = 30 * DAY
    #: Withheld results that are looked at again after a confirmed mismatch: a node that is
    #: wrong one time in ten is found out nearly surely (0.9 ** 40 = 1.5 %).
    reaudits: int = 40
    #: Confirmed mismatches per check of honest nodes (the thresholds stand at their 99.9th
    #: percentile, doubled) and of a cheat that is still worth finding.
    honest_rate: int = 2_000
    cheat_rate: int = 50_000
    #: Evidence of 10,000 to 1 convicts.
    odds: int = 10_000
    appeal_s: float = 72 * HOUR
    appeal_references: int = 3
    appeal_agreeing: int = 2
    #: A class is at fault, not its wallets, when at least so many of its old wallets fail within
    #: the window, and they are this share of all old wallets that were checked in it. Old means
    #: proven for longer than the window, so that fresh wallets cannot make up a class's fault.
    class_wallets: int = 3
    class_share: int = 500_000
    class_window_s: float = 72 * HOUR
    #: New wallets a day on the whole grid: what the operator's references can check at once.
    newcomers_per_day: int = 500
    #: Units of one wallet: its devices, by models. Names of devices are what a node says.
    units_per_wallet: int = 256
    #: And in probation at once per home (an IPv4 address, an IPv6 /64): it has a few devices, a
    #: farm of wallets has thousands; …
    newcomers_per_address: int = 3
    #: … and per IPv6 /56, which one customer is given: some homes have two networks.
    newcomers_per_site: int = 6
    #: The share of a day's places that one network takes (an IPv4 /24, an IPv6 /48): addresses
    #: in one cost nothing to whoever has it, and others should find a place too.
    newcomers_network_share: int = 50_000

    @property
    def agree_step(self) -> int:
        """What one agreeing check takes from a unit's evidence, in millionths of a nat."""
        return _ln(ONE - self.honest_rate) - _ln(ONE - self.cheat_rate)

    @property
    def mismatch_step(self) -> int:
        """What one confirmed mismatch adds to a unit's evidence, in millionths of a nat."""
        return _ln(self.cheat_rate) - _ln(self.honest_rate)

    @property
    def conviction_at(self) -> int:
        """The evidence above which a unit is convicted, in millionths of a nat."""
        return _ln(self.odds * ONE)

    @property
    def site_places(self) -> int:
        """Wallets in probation at once from one site."""
        return max(self.newcomers_per_site, self.newcomers_per_address)

    @property
    def network_places(self) -> int:
        """New wallets a day from one network."""
        share = self.newcomers_per_day * self.newcomers_network_share // ONE
        return max(share, self.site_places)

    def audit_probability(self, pay: int, withheld: int) -> int:
        """How surely a proven unit's next answer is checked, in millionths.

        ``pay`` is what the job earns and ``withheld`` what the unit would lose, in base units.
        """
        price = max(pay, 1)  # a free job has a price of nothing, and is checked for all that
        p = -(-self.margin * self.gain * ONE * price // (self.power * (price + withheld)))
        return min(max(p, self.least_audit), ONE)

    def fine(self, pay: int, p: int) -> int:
        """What a confirmed mismatch costs beside the job's pay, if that much is withheld.

        ``p`` is the probability with which the job was checked.
        """
        return self.margin * self.gain * ONE * pay // (p * self.power)


def _ln(millionths: int) -> int:
    """Of a number in millionths, in millionths."""
    return round(ONE * math.log(millionths / ONE))


def percent(millionths: int) -> str:
    """For people: 53800 is "5.38 %"."""
    return f"{millionths / 10_000:.3g} %"
