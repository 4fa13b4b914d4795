"""The tables, as SQLAlchemy Core sees them; ``migrations/`` builds the same, by test.

Times are float unix seconds, amounts are integers in base units of their token, and identifiers
and hashes are text, so that a row can be read by a person with a shell.
"""

from __future__ import annotations

from .access import api_keys, challenges, sessions, wallets
from .checking import checks, class_tallies, given_up, tallied, unit_tallies
from .incoming import deposit_requests, deposits, watched
from .metadata import metadata
from .money import balances, earnings, postings, transfers
from .payouts import breaker, claim_attempts, claims
from .proof import epoch_wallets, epochs, receipts
from .trust import corrections, reruns, strikes, trust_events, trust_orders, trust_snapshots, units
from .work import OPEN_STATES, blobs, idempotency_keys, jobs

__all__ = [
    "OPEN_STATES",
    "api_keys",
    "balances",
    "blobs",
    "breaker",
    "challenges",
    "checks",
    "claim_attempts",
    "claims",
    "class_tallies",
    "corrections",
    "deposit_requests",
    "deposits",
    "earnings",
    "epoch_wallets",
    "epochs",
    "given_up",
    "idempotency_keys",
    "jobs",
    "metadata",
    "postings",
    "receipts",
    "reruns",
    "sessions",
    "strikes",
    "tallied",
    "transfers",
    "trust_events",
    "trust_orders",
    "trust_snapshots",
    "unit_tallies",
    "units",
    "wallets",
    "watched",
]
