"""Proofs that the books are right, each one query that finds what contradicts it.

They read whole tables, on one snapshot, and write nothing: run them beside a live server.
"""

from __future__ import annotations

from hashlib import sha256

from sqlalchemy import Connection, select

from ..proofs import corrections as proofs
from .bulk import fetch
from .record import Record
from .tables import corrections, receipts

#: Examples named for one broken rule; all are counted.
EXAMPLES = 5

#: What must be true -> rows of (identity) for which it is not.
_RULES = {
    "postings of each transfer sum to zero": """
        SELECT transfer_id FROM postings GROUP BY transfer_id HAVING sum(amount) <> 0""",
    "balances are the sums of their postings": """
        SELECT account FROM (
            SELECT account, token, amount FROM balances
            UNION ALL
            SELECT p.account, t.token, -p.amount
            FROM postings p JOIN transfers t ON t.id = p.transfer_id
        ) AS both_sides GROUP BY account, token HAVING sum(amount) <> 0""",
    "only the grid's own accounts are negative": """
        SELECT account FROM balances
        WHERE amount < 0 AND substr(account, 1, 7) <> 'system:'""",
    "each job was held once": """
        SELECT j.id FROM jobs j
        LEFT JOIN transfers h ON h.kind = 'hold' AND h.ref = j.id WHERE h.id IS NULL""",
    "done jobs are settled, failed ones refunded, open ones neither": """
        SELECT j.id FROM jobs j
        LEFT JOIN transfers s ON s.kind = 'settle' AND s.ref = j.id
        LEFT JOIN transfers r ON r.kind = 'refund' AND r.ref = j.id
        WHERE (s.id IS NOT NULL) <> (j.state = 'done')
           OR (r.id IS NOT NULL) <> (j.state IN ('failed', 'cancelled'))""",
    "no money moved for a job that is not there": """
        SELECT t.ref FROM transfers t LEFT JOIN jobs j ON j.id = t.ref
        WHERE t.kind IN ('hold', 'settle', 'refund') AND j.id IS NULL""",
    "what is held is the price of open jobs": """
        SELECT account FROM (
            SELECT account, token, amount FROM balances
            WHERE substr(account, 1, 5) = 'user:' AND account LIKE '%:hold'
            UNION ALL
            SELECT 'user:' || owner || ':hold', token, -price FROM jobs
            WHERE state IN ('queued', 'running', 'returned')
        ) AS both_sides GROUP BY account, token HAVING sum(amount) <> 0""",
    "each done job has a receipt and a pay": """
        SELECT j.id FROM jobs j
        LEFT JOIN receipts r ON r.job_id = j.id LEFT JOIN earnings e ON e.job_id = j.id
        WHERE (j.state = 'done') <> (r.seq IS NOT NULL AND e.job_id IS NOT NULL)""",
    "pay is price less fee, as it was booked": """
        SELECT j.id FROM jobs j
        JOIN earnings e ON e.job_id = j.id
        JOIN transfers s ON s.kind = 'settle' AND s.ref = j.id
        LEFT JOIN postings p ON p.transfer_id = s.id
            AND p.account = 'node:' || e.wallet || ':withheld'
        WHERE e.amount <> j.price - j.fee OR coalesce(p.amount, 0) <> e.amount""",
    "what is withheld is pay that is not released, less open fines": """
        SELECT account FROM (
            SELECT account, token, amount FROM balances
            WHERE substr(account, 1, 5) = 'node:' AND account LIKE '%:withheld'
            UNION ALL
            SELECT 'node:' || wallet || ':withheld', token, -amount FROM earnings
            WHERE NOT released AND lost IS NULL
            UNION ALL
            SELECT p.account, t.token, -p.amount FROM transfers t
            JOIN postings p ON p.transfer_id = t.id AND p.account LIKE 'node:%:withheld'
            WHERE t.kind IN ('fine', 'restore')
            UNION ALL
            SELECT 'node:' || wallet || ':withheld', token, -fined FROM earnings WHERE fined <> 0
        ) AS both_sides GROUP BY account, token HAVING sum(amount) <> 0""",
    "answers that are void gave their whole price back, and no others": """
        SELECT e.job_id FROM earnings e JOIN jobs j ON j.id = e.job_id
        LEFT JOIN transfers v ON v.kind = 'void' AND v.ref = e.job_id
        LEFT JOIN postings p ON p.transfer_id = v.id
            AND p.account = 'user:' || j.owner || ':credit'
        WHERE (coalesce(e.lost, '') = 'void') <> (v.id IS NOT NULL)
           OR (v.id IS NOT NULL AND coalesce(p.amount, 0) <> j.price)""",
    "what was forfeited is pay that is lost, less fines": """
        SELECT wallet FROM (
            SELECT wallet, token, amount - fined AS amount FROM earnings WHERE lost = 'forfeit'
            UNION ALL
            SELECT wallet, token, -amount FROM corrections WHERE kind = 'forfeit'
        ) AS both_sides GROUP BY wallet, token HAVING sum(amount) <> 0""",
    "each strike is for a void answer, and fined as it was decided": """
        SELECT s.job_id FROM strikes s
        LEFT JOIN earnings e ON e.job_id = s.job_id AND e.wallet = s.wallet
        LEFT JOIN transfers f ON f.kind = 'fine' AND f.ref = s.job_id
        LEFT JOIN postings p ON p.transfer_id = f.id AND p.account = 'system:fines'
        WHERE coalesce(e.lost, '') <> 'void' OR coalesce(p.amount, 0) <> s.fine
           OR e.amount <> s.pay""",
    "nothing was given back that was not taken before": """
        SELECT t.ref FROM transfers t JOIN postings p ON p.transfer_id = t.id AND p.amount < 0
        LEFT JOIN earnings e ON t.kind = 'restore' AND e.job_id = t.ref AND e.lost = 'void'
        LEFT JOIN corrections c ON c.ref = t.ref
            AND c.kind = CASE t.kind WHEN 'restore' THEN 'fine' ELSE 'forfeit' END
        WHERE t.kind IN ('restore', 'reinstate')
          AND -p.amount > coalesce(CASE p.account WHEN 'system:restored' THEN e.amount
                                   ELSE c.amount END, 0)""",
    "each correction is booked as it is published, and no others are": """
        SELECT ref FROM (
            SELECT c.ref FROM corrections c
            LEFT JOIN transfers t ON t.id = c.transfer_id AND t.kind = c.kind AND t.ref = c.ref
                AND t.token = c.token
            LEFT JOIN (
                SELECT transfer_id, sum(amount) AS amount, min(account) AS one, max(account) AS last
                FROM postings WHERE account LIKE 'node:%' GROUP BY transfer_id
            ) AS p ON p.transfer_id = t.id
            WHERE t.id IS NULL OR c.amount <> abs(coalesce(p.amount, 0))
               OR p.one NOT LIKE 'node:' || c.wallet || ':%'
               OR p.last NOT LIKE 'node:' || c.wallet || ':%'
            UNION ALL
            SELECT t.ref FROM transfers t LEFT JOIN corrections c ON c.transfer_id = t.id
            WHERE t.kind IN ('void', 'fine', 'forfeit', 'restore', 'reinstate')
              AND c.number IS NULL
        ) AS both_ways""",
    "corrections are those that each epoch was closed with": """
        SELECT e.number FROM epochs e LEFT JOIN corrections c ON c.number = e.corrections
        WHERE e.corrections > 0 AND coalesce(c.hash, '') <> e.corrected""",
    "what is in flight is the claims without an end": """
        SELECT account FROM (
            SELECT account, token, amount FROM balances
            WHERE substr(account, 1, 5) IN ('node:', 'user:') AND account LIKE '%:in_flight'
            UNION ALL
            SELECT CASE WHEN c.owner IS NULL THEN 'node:' || c.wallet ELSE 'user:' || c.owner END
                   || ':in_flight', c.token, -c.amount FROM claims c
            JOIN transfers t ON t.kind = 'reserve' AND t.ref = c.id
            WHERE NOT EXISTS (SELECT 1 FROM transfers e
                              WHERE e.kind IN ('pay', 'return') AND e.ref = c.id)
        ) AS both_sides GROUP BY account, token HAVING sum(amount) <> 0""",
    "each output that lies elsewhere is led to by a row": """
        SELECT j.id FROM jobs j LEFT JOIN blobs b ON b.digest = j.output_digest
        WHERE j.output_digest IS NOT NULL AND b.digest IS NULL""",
    "final claims are booked as paid, and no others": """
        SELECT c.id FROM claims c
        LEFT JOIN transfers t ON t.kind IN ('pay', 'recover') AND t.ref = c.id
        WHERE (c.state = 'finalized') <> (t.id IS NOT NULL)""",
    "each deposit is booked, and no others": """
        SELECT txid FROM (
            SELECT d.txid FROM deposits d
            LEFT JOIN transfers t ON t.kind = 'deposit' AND t.ref = d.txid
            LEFT JOIN postings p ON p.transfer_id = t.id AND p.account = 'system:chain'
            WHERE coalesce(-p.amount, 0) <> CASE
                WHEN d.state IN ('credited', 'unassigned') THEN d.amount ELSE 0 END
            UNION ALL
            SELECT t.ref FROM transfers t LEFT JOIN deposits d ON d.txid = t.ref
            WHERE t.kind IN ('deposit', 'assign') AND d.txid IS NULL
        ) AS both_ways""",
    "each deposit is credited to its owner": """
        SELECT d.txid FROM deposits d
        LEFT JOIN transfers t ON t.kind IN ('deposit', 'assign') AND t.ref = d.txid
        LEFT JOIN postings p ON p.transfer_id = t.id AND p.account = 'user:' || d.owner || ':credit'
        WHERE d.owner IS NOT NULL GROUP BY d.txid, d.amount
        HAVING coalesce(sum(p.amount), 0) <> d.amount""",
    "what is unassigned is the deposits of nobody": """
        SELECT token FROM (
            SELECT token, amount FROM balances WHERE account = 'system:unassigned'
            UNION ALL
            SELECT token, -amount FROM deposits WHERE state = 'unassigned'
        ) AS both_sides GROUP BY token HAVING sum(amount) <> 0""",
    "what a claim sent is its amount, less the fee for pushing it": """
        SELECT c.id FROM claims c
        JOIN transfers t ON t.kind = 'pay' AND t.ref = c.id
        LEFT JOIN postings p ON p.transfer_id = t.id AND p.account = 'system:chain'
        WHERE coalesce(p.amount, 0) <> c.amount - coalesce(c.push_fee, 0)""",
    "a claim is paid or returned, never both": """
        SELECT ref FROM transfers WHERE kind IN ('pay', 'return')
        GROUP BY ref HAVING count(*) > 1""",
}


#: What stands in a correction's text and in columns beside it.
_SAID = ("number", "kind", "ref", "wallet", "token", "amount", "reason", "at")

#: Credit that was given is spent first (see ``chain.deposits.refundable``), so of a user's credit
#: what they paid in, less what went back, is owed.
_OWED = """
    SELECT token, sum(amount) FROM (
        SELECT token, amount FROM balances
        WHERE substr(account, 1, 5) = 'node:' OR account = 'system:unassigned'
           OR (substr(account, 1, 5) = 'user:' AND account LIKE '%:in_flight')
        UNION ALL
        SELECT d.token, CASE WHEN coalesce(b.amount, 0) < d.amount - coalesce(r.amount, 0)
               THEN coalesce(b.amount, 0) ELSE d.amount - coalesce(r.amount, 0) END
        FROM (SELECT owner, token, sum(amount) AS amount FROM deposits
              WHERE owner IS NOT NULL GROUP BY owner, token) AS d
        LEFT JOIN (SELECT owner, token, sum(amount) AS amount FROM claims
                   WHERE owner IS NOT NULL AND state NOT IN ('failed', 'expired')
                   GROUP BY owner, token) AS r ON r.owner = d.owner AND r.token = d.token
        LEFT JOIN (SELECT token, account, amount FROM balances) AS b
               ON b.account = 'user:' || d.owner || ':credit' AND b.token = d.token
    ) AS owed GROUP BY token"""


class Finding(Record, frozen=True, kw_only=True):
    """One rule, and what breaks it: nothing, if the books are right."""

    rule: str
    broken: int
    examples: list[str]
    #: What breaks it is worth a look, and nothing that must not be.
    warning: bool = False


def findings(connection: Connection) -> list[Finding]:
    """Check every rule. The books are right if none is broken."""
    found = [
        _finding(rule, [str(row[0]) for row in fetch(connection, sql)])
        for rule, sql in _RULES.items()
    ]
    return [
        *found,
        _finding("each receipt has the hash beside it", _forged(connection)),
        _finding("each correction follows the one before it", _unchained(connection)),
    ]


def owed(connection: Connection) -> dict[str, int]:
    """What the treasury must be able to pay, by token: what nodes earned and was not paid on
    chain, what users paid in and have not used, and what came for nobody yet."""
    return {token: int(amount) for token, amount in fetch(connection, _OWED)}


def _forged(connection: Connection) -> list[str]:
    query = select(receipts.c.job_id, receipts.c.body, receipts.c.hash)
    rows = connection.execution_options(yield_per=1000).execute(query)
    return [job for job, body, hash in rows if sha256(body).hexdigest() != hash]


def _unchained(connection: Connection) -> list[str]:
    number, before, broken = 0, proofs.GENESIS, []
    query = select(corrections).order_by(corrections.c.number)
    for row in connection.execution_options(yield_per=1000).execute(query):
        read = proofs.read(row.body)
        said = {name: getattr(row, name) for name in _SAID}
        number, before = number + 1, proofs.link(before, row.body)
        same = read is not None and said == {name: getattr(read, name) for name in _SAID}
        if row.number != number or row.hash != before.hex() or not same:
            broken.append(str(row.number))
    return broken


def _finding(rule: str, broken: list[str]) -> Finding:
    return Finding(rule=rule, broken=len(broken), examples=broken[:EXAMPLES])
