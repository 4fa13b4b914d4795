"""The figures that the cores decide by, out of an operator's settings."""

from __future__ import annotations

from .. import scheduler, settings, trust

#: A hundredth of a percent, in millionths.
BPS = 100


def of_scheduling(rules: settings.Scheduling) -> scheduler.Policy:
    return scheduler.Policy(
        lease_factor=rules.lease_factor,
        lease_min_s=rules.lease_min_s,
        lease_max_s=rules.lease_max_s,
        hedge_factor=rules.hedge_factor,
        hedge_min_s=rules.hedge_min_s,
        attempts=rules.attempts,
        strikes=rules.strikes,
        answers_per_strike=rules.answers_per_strike,
        audit_places=rules.audit_places,
    )


def of_trust(rules: settings.Trust) -> trust.Policy:
    """How long pay is withheld at least is each grid's own, and comes with each answer."""
    return trust.Policy(
        probation_jobs=rules.probation_jobs,
        unproven_per_unit=rules.unproven_per_unit,
        unproven_per_wallet=rules.unproven_per_wallet,
        least_audit=rules.least_audit_bps * BPS,
        margin=rules.margin,
        release_jobs=rules.release_jobs,
        release_idle_s=rules.release_idle_s,
        reaudits=rules.reaudits,
        appeal_s=rules.appeal_s,
        class_wallets=rules.class_wallets,
        newcomers_per_day=rules.newcomers_per_day,
        newcomers_per_address=rules.newcomers_per_address,
        newcomers_per_site=rules.newcomers_per_site,
        newcomers_network_share=rules.newcomers_network_bps * BPS,
    )
