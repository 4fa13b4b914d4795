"""Which runs make the table, and one run of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import cast

import msgspec

from .baselines import POLICIES, Replication
from .nodes import Owner, Strategy, owners_of
from .simulation import PAY, Simulation

#: The grid's policy, and the same where a check costs a tenth of the job, as for text.
TABGRID, CHEAP_CHECKS = "tabgrid", "tabgrid, checks at 0.1"
CHEAP = 0.1
CHEATERS = 0.3
RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
STRATEGIES: tuple[Strategy, ...] = ("lazy", "sleeper-60", "sleeper-150", "sleeper-400")


class Plan(msgspec.Struct, frozen=True):
    policy: str
    cheaters: float
    #: The share of a cheat's jobs that it lies in, or of a broken driver's that come out wrong.
    rate: float
    strategy: Strategy
    seed: int
    wallets: int = 300
    jobs: int = 3_000
    #: The share of drawn checks that no reference gets to.
    given_up: float = 0.0


class Row(msgspec.Struct, frozen=True):
    """One run. Shares of all answers that users got; pay in job prices per job computed."""

    policy: str
    cheaters: float
    rate: float
    strategy: str
    settled_wrong: float
    delivered_wrong: float
    overhead: float
    cheater_pay: float
    wrongful_convictions: int
    seed: int


class Outcome(msgspec.Struct, frozen=True):
    row: Row
    #: What cheats did not have to compute, in job prices per job.
    saved: float
    honest_pay: float
    #: Wrongful convictions that were lifted again.
    lifted: int
    answers: int
    seconds: float


def plans(
    seed: int,
    wallets: int,
    jobs: int,
    rates: Sequence[float],
    cheaters: float = CHEATERS,
    given_up: float = 0.0,
) -> list[Plan]:
    def plan(policy: str, share: float, rate: float, strategy: Strategy) -> Plan:
        return Plan(policy, share, rate, strategy, seed, wallets, jobs, given_up)

    ours = [plan(TABGRID, 0, 0, "honest")]
    ours += [plan(TABGRID, cheaters, rate, strategy) for rate in rates for strategy in STRATEGIES]
    ours += [plan(TABGRID, cheaters, rates[-1], strategy) for strategy in ("copying", "colluding")]
    ours += [plan(TABGRID, 0, rate, "broken-driver") for rate in (0.1, 1)]
    ours += [plan(TABGRID, cheaters, 1, "broken-driver")]
    others = [
        plan("no-check", cheaters, 1, "lazy"),
        plan("quorum-2", cheaters, 1, "lazy"),
        plan("quorum-2", cheaters, 1, "copying"),
        plan("quorum-2", cheaters, 1, "colluding"),
        plan("adaptive", cheaters, 0.05, "colluding"),
        plan("adaptive", cheaters, 0.3, "colluding"),
        plan("adaptive", cheaters, 1, "sleeper-150"),
    ]
    return ours + others


def run_all(todo: Sequence[Plan], processes: int) -> Iterator[list[Outcome]]:
    """In the order of ``todo``, each as soon as it and those before it are done."""
    if processes == 1:
        yield from map(run, todo)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(run, todo)


def run(plan: Plan) -> list[Outcome]:
    """One run; of an honest grid two rows, for dear and for cheap checks."""
    started = time.perf_counter()
    if plan.policy != TABGRID:
        return [_replicated(plan, started)]
    # While a driver breaks there are also cheats about, who hope to pass for it.
    broken = plan.strategy == "broken-driver"
    strategy, rate = ("sleeper-150", 0.1) if broken else (plan.strategy, plan.rate)
    owners = owners_of(plan.wallets, plan.cheaters, cast(Strategy, strategy), rate)
    simulation = Simulation(owners, plan.seed, plan.rate if broken else 0.0, plan.given_up)
    simulation.run(plan.jobs)
    possible = [PAY * plan.jobs] * plan.wallets
    outcome = _outcome(plan, owners, simulation, possible, started)
    if plan.cheaters or broken:
        return [outcome]
    cheap = msgspec.structs.replace(
        outcome.row, policy=CHEAP_CHECKS, overhead=outcome.row.overhead * CHEAP
    )
    return [outcome, msgspec.structs.replace(outcome, row=cheap)]


def _replicated(plan: Plan, started: float) -> Outcome:
    owners = owners_of(plan.wallets, plan.cheaters, plan.strategy, plan.rate)
    replication = Replication(owners, plan.seed, POLICIES[plan.policy])
    replication.run(plan.jobs)
    return _outcome(plan, owners, replication, replication.computed, started)


def _outcome(
    plan: Plan,
    owners: list[Owner],
    done: Simulation | Replication,
    possible: Sequence[int],
    started: float,
) -> Outcome:
    """``possible`` is what each owner would have earned with right answers alone."""
    cheats = [owner for owner in owners if owner.cheats]
    honest = [owner for owner in owners if not owner.cheats]
    row = Row(
        policy=plan.policy,
        cheaters=plan.cheaters,
        rate=plan.rate,
        strategy=plan.strategy,
        settled_wrong=done.settled_wrong / done.answers,
        delivered_wrong=done.delivered_wrong / done.answers,
        overhead=done.checks / done.answers,
        cheater_pay=_pay(cheats, possible),
        wrongful_convictions=done.wrongful,
        seed=plan.seed,
    )
    saved = sum(owner.saved for owner in cheats)
    computed = sum(possible[owner.place] for owner in cheats)
    price = PAY if isinstance(done, Simulation) else 1
    return Outcome(
        row,
        saved=saved * price / computed if computed else 0.0,
        honest_pay=_pay(honest, possible),
        lifted=done.lifted,
        answers=done.answers,
        seconds=time.perf_counter() - started,
    )


def _pay(owners: list[Owner], possible: Sequence[int]) -> float:
    total = sum(possible[owner.place] for owner in owners)
    return sum(owner.earned for owner in owners) / total if total else 0.0
