"""What must be true of a grid, by what it published and what the chain has. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from solders.pubkey import Pubkey
from solders.signature import Signature

from tabgrid_wire.commitment import result_message

from ...api.schemas.attestation import Balance
from ...api.schemas.receipts import Receipt
from ...store.audit import EXAMPLES, Finding
from .. import epoch as proofs
from ..epoch import GENESIS, Memo
from ..statement import balances_top
from . import corrected, draws, fates, steps
from .evidence import Evidence, Told, receipt_of


def check(evidence: Evidence) -> list[Finding]:
    """Every rule, in order; the grid is honest as far as can be seen if none is broken, save
    those that are warnings."""
    rules = {**_RULES, **draws.RULES, **fates.RULES, **steps.RULES}
    found = [_finding(rule, broken(evidence)) for rule, broken in rules.items()]
    return found + [
        _finding(rule, broken(evidence), warning=True) for rule, broken in fates.WARNINGS.items()
    ]


def owed(evidence: Evidence) -> int:
    """What receipts earned, less corrections, and the chain had not paid by the slot of the
    treasury's balance."""
    paid: Counter[str] = Counter()
    for payment in evidence.payments:
        if evidence.money is not None and payment.slot <= evidence.money.slot:
            paid[payment.wallet] += payment.amount
    books, sum = _books(evidence), 0
    for wallet, amount in _corrected(evidence).items():
        each = books.get(wallet, _NOTHING)
        settled = max(paid[wallet] - each.refunded, 0) + each.charged
        sum += max(amount - settled, 0)
    return sum


def paid_until(evidence: Evidence) -> int:
    """What had left the treasury by the slot of its balance."""
    until = evidence.money.slot if evidence.money else 0
    return sum(each.amount for each in evidence.payments if each.slot <= until)


# --- who speaks ----------------------------------------------------------------------------


def _signed_by_the_delegate(evidence: Evidence) -> Iterator[str]:
    money = evidence.money
    if money is None:
        yield f"{evidence.statement.treasury} is no token account on this chain"
    elif money.delegate != evidence.attestation.key:
        yield f"{evidence.attestation.key} is not the delegate of {evidence.statement.treasury}"
    elif money.mint != evidence.statement.mint:
        yield f"the treasury holds {money.mint}, not {evidence.statement.mint}"


def _on_this_chain(evidence: Evidence) -> Iterator[str]:
    if evidence.genesis != evidence.statement.genesis:
        yield f"the statement is about the chain {evidence.statement.genesis}"


# --- epochs --------------------------------------------------------------------------------


def _in_a_chain(evidence: Evidence) -> Iterator[str]:
    """Numbers without a gap, each root once, each after the one before, never of an older
    version than it."""
    last, prev_root, version = 0, GENESIS.hex(), 1
    known: dict[int, Memo] = {}
    for each in evidence.published:
        memo = each.memo
        if memo.epoch in known:
            if known[memo.epoch] != memo:
                yield f"epoch {memo.epoch} has two roots ({each.txid})"
            continue
        known[memo.epoch] = memo
        if memo.epoch != last + 1 or memo.prev_root != prev_root:
            yield f"epoch {memo.epoch} does not follow epoch {last} ({each.txid})"
        if memo.v < version:
            yield f"epoch {memo.epoch} is of version {memo.v} after version {version} ({each.txid})"
        last, prev_root, version = memo.epoch, memo.root, memo.v
    told = (evidence.statement.epoch, evidence.statement.root)
    if told != (0, GENESIS.hex()) and (told[0] not in known or known[told[0]].root != told[1]):
        yield f"epoch {told[0]} of the statement is not on chain"


def _complete(evidence: Evidence) -> Iterator[str]:
    for each in evidence.published:
        count = evidence.leaves[each.memo.epoch].count
        if count != each.memo.count:
            yield f"epoch {each.memo.epoch} has {count} leaves, {each.memo.count} were published"


def _unchanged(evidence: Evidence) -> Iterator[str]:
    for each in evidence.published:
        memo, leaves = each.memo, evidence.leaves[each.memo.epoch]
        hashes = [told_hash(told) for told in leaves.receipts]
        found = proofs.leaves(hashes, leaves.earned, leaves.head)
        prev_root = bytes.fromhex(memo.prev_root)
        if proofs.memo_of(memo.v, memo.epoch, found, prev_root).root != memo.root:
            yield f"epoch {memo.epoch} gives another root than {each.txid}"


def _summed_up(evidence: Evidence) -> Iterator[str]:
    """The wallets' leaves of each epoch are the sums of all receipts up to it."""
    sums: Counter[str] = Counter()
    for number in sorted(evidence.leaves):
        leaves = evidence.leaves[number]
        for receipt in map(receipt_of, leaves.receipts):
            if receipt is not None:
                sums[receipt.wallet] += receipt.pay
        told: Counter[str] = Counter()
        for each in leaves.earned:
            told[each.wallet] += each.earned
        for wallet in sorted(told.keys() | sums.keys()):
            if told[wallet] != sums[wallet]:
                yield f"{wallet} in epoch {number}: {told[wallet]:,}, by receipts {sums[wallet]:,}"


# --- receipts ------------------------------------------------------------------------------


def _one_for_each_job(evidence: Evidence) -> Iterator[str]:
    jobs = Counter(receipt.job for _, receipt in evidence.told() if receipt is not None)
    yield from (job for job, count in jobs.items() if count > 1)


def _signed_by_nodes(evidence: Evidence) -> Iterator[str]:
    for told, receipt in evidence.told():
        if receipt is None:
            yield f"number {told.seq} cannot be read"
        elif not _holds(receipt):
            yield receipt.job


def _adds_up(evidence: Evidence) -> Iterator[str]:
    for _, receipt in evidence.told():
        if receipt is not None and (
            receipt.pay + receipt.fee != receipt.price or min(receipt.pay, receipt.fee) < 0
        ):
            yield receipt.job


def _holds(receipt: Receipt) -> bool:
    """Whether the node signed this result of this job, for this wallet."""
    try:
        message = result_message(
            receipt.job,
            receipt.wallet,
            bytes.fromhex(receipt.nonce),
            bytes.fromhex(receipt.result_hash),
            None if receipt.trace_root is None else bytes.fromhex(receipt.trace_root),
        )
        signature = Signature.from_bytes(bytes.fromhex(receipt.signature))
        return signature.verify(Pubkey.from_string(receipt.worker_key), message)
    except ValueError:
        return False


# --- balances ------------------------------------------------------------------------------


def _as_stated(evidence: Evidence) -> Iterator[str]:
    statement, balances = evidence.statement, evidence.balances
    if len(balances) != statement.wallets or balances_top(balances) != statement.balances:
        yield "the balances are not those that were signed"
    held = sum(each.withheld + each.claimable + each.in_flight for each in balances)
    if held != statement.owed:
        yield f"balances of {held:,}, and {statement.owed:,} were stated as owed"


def _backed(evidence: Evidence) -> Iterator[str]:
    """Every balance comes from receipts, and nothing that receipts earned is missing, save what
    a correction took."""
    earned = _corrected(evidence)
    books = _books(evidence)
    for wallet in sorted(earned.keys() | books.keys()):
        each = books.get(wallet, _NOTHING)
        held = each.withheld + each.claimable + each.in_flight
        sum = held + each.paid + each.charged - each.overpaid
        if sum != earned[wallet]:
            yield f"{wallet} has {sum:,} in the books, by receipts {earned[wallet]:,}"


def _corrections_published(evidence: Evidence) -> Iterator[str]:
    return corrected.as_published(evidence.heads(), evidence.corrections)


def _corrections_in_time(evidence: Evidence) -> Iterator[str]:
    # Of an epoch that stands on chain twice, what counts is the first time.
    times = {each.memo.epoch: each.at for each in reversed(evidence.published)}
    return corrected.in_time(evidence.heads(), times, evidence.corrections)


def _corrections_fit(evidence: Evidence) -> Iterator[str]:
    return corrected.backed(evidence, {each.job: each for each in evidence.read()})


# --- payments ------------------------------------------------------------------------------


def _once(evidence: Evidence) -> Iterator[str]:
    claims = Counter(each.claim for each in evidence.payments if each.claim)
    yield from (f"{claim}, {count} times" for claim, count in claims.items() if count > 1)


def _for_claims(evidence: Evidence) -> Iterator[str]:
    yield from (each.txid for each in evidence.payments if not each.claim)


def _booked(evidence: Evidence) -> Iterator[str]:
    paid: Counter[str] = Counter()
    for payment in evidence.payments:
        if payment.slot <= evidence.statement.slot:
            paid[payment.wallet] += payment.amount
    books = _books(evidence)
    for wallet, amount in sorted(paid.items()):
        each = books.get(wallet, _NOTHING)
        known = each.paid + each.in_flight + each.refunded
        if amount > known:
            yield f"{wallet} was paid {amount:,}, and the books have {known:,}"


def _arrived(evidence: Evidence) -> Iterator[str]:
    paid: Counter[str] = Counter()
    for payment in evidence.payments:
        paid[payment.wallet] += payment.amount
    for each in evidence.balances:
        if each.paid > paid[each.wallet]:
            yield f"{each.wallet}: {each.paid:,} in the books, {paid[each.wallet]:,} on chain"


def _solvent(evidence: Evidence) -> Iterator[str]:
    """By what receipts say, and by what the grid says: its word may be about more."""
    statement, balance = evidence.statement, evidence.money.balance if evidence.money else 0
    debt = owed(evidence) + statement.users
    if balance < debt:
        yield f"{debt - balance:,} base units missing for the {debt:,} owed by receipts"
    stated = statement.owed + statement.users
    # What left since the statement left what it calls owed.
    left = paid_until(evidence) - sum(each.refunded for each in evidence.balances)
    short = stated + statement.paid - max(left, statement.paid) - balance
    if short > 0:
        yield f"{short:,} base units missing for the {stated:,} owed as stated"


# --- draws ---------------------------------------------------------------------------------


def drawn(evidence: Evidence) -> draws.Summary:
    """Receipts by what can be said of their draw today."""
    return draws.summary(evidence.draws, evidence.read())


_RULES: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "the statement is signed by the treasury's delegate": _signed_by_the_delegate,
    "the statement is about this chain": _on_this_chain,
    "epochs follow each other on chain, without a gap or a fork": _in_a_chain,
    "each epoch has all leaves that were published": _complete,
    "each epoch's leaves give the root on chain": _unchanged,
    "wallets' earnings in each epoch are the sums of their receipts": _summed_up,
    "no job has two receipts": _one_for_each_job,
    "each receipt is signed by its node": _signed_by_nodes,
    "each receipt's price is pay and fee": _adds_up,
    "the balances are those that were signed": _as_stated,
    "corrections of pay are those that were signed": corrected.as_stated,
    "corrections of pay are those under each epoch's root": _corrections_published,
    "no epoch leaves out a correction from before it": _corrections_in_time,
    "each correction fits the receipt that it is about": _corrections_fit,
    "every balance is backed by receipts and corrections": _backed,
    "each claim was paid once": _once,
    "the treasury paid claims and nothing else": _for_claims,
    "what the chain paid is in the books": _booked,
    "what the books call paid is on chain": _arrived,
    "the treasury covers what is owed": _solvent,
}


def told_hash(told: Told) -> bytes:
    """SHA-256 of a receipt as it was told."""
    return proofs.receipt_hash(told.body)


def _earned(evidence: Evidence) -> Counter[str]:
    """By receipts, up to the statement's moment."""
    sums: Counter[str] = Counter()
    for told, receipt in evidence.told():
        if receipt is not None and told.seq <= evidence.statement.seq:
            sums[receipt.wallet] += receipt.pay
    return sums


def _corrected(evidence: Evidence) -> Counter[str]:
    """By receipts and by corrections of them."""
    sums = _earned(evidence)
    sums.update(corrected.changes(evidence))
    return sums


#: Of a wallet that the books do not have.
_NOTHING = Balance("", 0, 0, 0, 0, 0, 0, 0)


def _books(evidence: Evidence) -> dict[str, Balance]:
    return {each.wallet: each for each in evidence.balances}


def _finding(rule: str, broken: Iterator[str], warning: bool = False) -> Finding:
    found = list(broken)
    return Finding(rule=rule, broken=len(found), examples=found[:EXAMPLES], warning=warning)
