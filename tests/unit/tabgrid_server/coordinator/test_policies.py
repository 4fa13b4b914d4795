"""An operator's settings become the figures that the cores decide by."""

from __future__ import annotations

from tabgrid_server import trust
from tabgrid_server.coordinator import policies
from tabgrid_server.settings import Trust, load, load_demo


def test_without_settings_the_policy_is_the_one_of_the_simulation() -> None:
    assert policies.of_trust(Trust()) == trust.Policy()


def test_every_figure_that_an_operator_sets_arrives() -> None:
    settings = load(
        environment={"TABGRID_TRUST_LEAST_AUDIT_BPS": "1000"},
        overrides={"trust": {"release_jobs": 7, "newcomers_per_address": 9}},
    )
    policy = policies.of_trust(settings.trust)
    assert policy.least_audit == 100_000, "a tenth, in millionths"
    assert (policy.release_jobs, policy.newcomers_per_address) == (7, 9)


def test_a_demo_pays_a_stranger_within_a_minute() -> None:
    rules = load_demo().trust
    assert rules.release_idle_s + rules.other_kind_s < 60
    assert rules.release_jobs < 10
