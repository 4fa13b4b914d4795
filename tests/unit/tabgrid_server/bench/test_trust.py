"""The simulation at a seventh of its size: the gates that the policy must keep, each where it is
nearest to missing them. ``tabgrid bench trust`` shows all of them at full size."""

from __future__ import annotations

import json
from functools import cache

import pytest
from click.testing import CliRunner

from tabgrid_server.bench.trust import Outcome, Plan, Row, lines, run
from tabgrid_server.bench.trust.nodes import Strategy
from tabgrid_server.bench.trust.report import gates
from tabgrid_server.cli.bench import bench
from tabgrid_server.proofs.audit.fates import MOST_GIVEN_UP

SEED = 7
#: Wallets may be fewer; the jobs of each may not, since a wallet's beginning is the dear part.
WALLETS, JOBS = 40, 3_000


@cache
def outcomes(policy: str, cheaters: float, rate: float, strategy: Strategy) -> list[Outcome]:
    return run(Plan(policy, cheaters, rate, strategy, SEED, WALLETS, JOBS))


@cache
def attacked(rate: float, strategy: Strategy) -> Outcome:
    (outcome,) = outcomes("tabgrid", 0.3, rate, strategy)
    return outcome


def missed(some: list[Outcome]) -> list[str]:
    return [line for line in gates(some) if not line.startswith("met: ")]


def test_all_honest_costs_little_and_honest_work_is_paid() -> None:
    dear, cheap = outcomes("tabgrid", 0, 0, "honest")
    assert not missed([dear, cheap])
    assert cheap.row.overhead == pytest.approx(dear.row.overhead / 10)
    assert dear.honest_pay > 0.97
    assert dear.row.settled_wrong == dear.row.delivered_wrong == 0


@pytest.mark.parametrize(
    ("rate", "strategy"),
    [
        (0.03, "lazy"),  # many wrong answers are settled before it is found out
        (0.3, "sleeper-60"),  # most is checked, and
        (1.0, "sleeper-60"),  # most wrong answers delivered
    ],
)
def test_a_third_of_cheats_harms_little_and_earns_less(rate: float, strategy: Strategy) -> None:
    outcome = attacked(rate, strategy)
    assert not missed([outcome])
    # It is the policy that does it: all lies would have been
    lied = 0.3 * outcome.saved
    assert lied > outcome.row.settled_wrong
    assert outcome.row.cheater_pay < 0.9 * outcome.honest_pay


def test_as_many_checks_as_an_audit_lets_pass_may_be_given_up() -> None:
    """That share is where its limit comes from; more shows in what is delivered."""
    (few,) = run(Plan("tabgrid", 0.3, 1.0, "lazy", SEED, WALLETS, JOBS, MOST_GIVEN_UP))
    assert not missed([few])
    (third,) = run(Plan("tabgrid", 0.3, 1.0, "lazy", SEED, WALLETS, JOBS, 1 / 3))
    assert "delivered wrong" in missed([third])[0]


@pytest.mark.parametrize("cheaters", [0, 0.3])
def test_a_broken_driver_convicts_nobody_for_good(cheaters: float) -> None:
    (outcome,) = outcomes("tabgrid", cheaters, 1, "broken-driver")
    # Exactly: cheats whose strikes are lifted with the others' do not make up for anybody.
    assert outcome.row.wrongful_convictions == 0
    assert outcome.row.settled_wrong < 0.01
    assert outcome.honest_pay > 0.8


def test_the_same_seed_gives_the_same_run() -> None:
    plan = Plan("tabgrid", 0.3, 1.0, "lazy", SEED, 12, 200)
    assert [o.row for o in run(plan)] == [o.row for o in run(plan)]


@pytest.mark.parametrize(
    ("policy", "rate", "strategy", "wrong", "overhead"),
    [
        ("no-check", 1.0, "lazy", 0.3, 0.0),
        # Two of the ring in one quorum: 0.3 x 11 / 39.
        ("quorum-2", 1.0, "colluding", 0.085, 1.0),
        # Two right ones in a row of draws that are right 7 times in 10.
        ("quorum-2", 1.0, "lazy", 0.0, 1.86),
    ],
)
def test_what_others_do_is_simulated_as_it_is_known(
    policy: str, rate: float, strategy: Strategy, wrong: float, overhead: float
) -> None:
    (outcome,) = outcomes(policy, 0.3, rate, strategy)
    assert outcome.row.delivered_wrong == pytest.approx(wrong, abs=0.01)
    assert outcome.row.overhead == pytest.approx(overhead, abs=0.1)


def test_a_line_has_what_programs_read_and_nothing_else() -> None:
    (line,) = lines([attacked(1.0, "sleeper-60")])
    assert tuple(json.loads(line)) == Row.__struct_fields__
    assert list(json.loads(line)) == [
        "policy", "cheaters", "rate", "strategy", "settled_wrong", "delivered_wrong", "overhead",
        "cheater_pay", "wrongful_convictions", "seed",
    ]  # fmt: skip


def test_the_command_prints_a_line_per_run_or_a_table_with_the_gates() -> None:
    small = ["trust", "--wallets", "10", "--jobs", "30", "--rates", "1", "--processes", "1"]
    result = CliRunner().invoke(bench, ["--json", *small])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.output.splitlines()]
    assert {row["policy"] for row in rows} >= {"tabgrid", "quorum-2", "adaptive", "no-check"}
    table = CliRunner().invoke(bench, small).output
    assert len(table.splitlines()) > len(rows)
    assert "overhead under attack" in table
