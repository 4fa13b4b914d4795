"""What several RPCs together say of what is final. Pure: answers in, one answer out.

A question about finality decides over money, so no single RPC is believed: a majority of all
that are configured must say the same. Of three, one may lie, lag or be silent. Every answer is
the ``result`` of JSON-RPC, as it came; what comes out has the same form.

An RPC that lags is no liar, but it cannot say that something did not happen. So a "no" counts
only from those that stand at the slot that is given out with the answer. And what comes out is
put together anew from the parts that were agreed on, so that nothing else of a lie is passed on.

A rule raises ``Disagreement``, and any of ``MALFORMED`` for answers of another form; given one
answer and a quorum of one, it tells whether that has the right form.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

Json = dict[str, Any]

#: How far, in blocks, honest RPCs stand apart. A blockhash is taken to live this much longer
#: than its RPC said: a claim that never lands comes back 13 s later, and never too early.
APART = 32
#: Blocks for which a blockhash lives: one that is said to live much shorter or longer than the
#: others' is not used.
LIFE = 150


MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError)


class Disagreement(Exception):
    """No majority says the same; the text says of what."""


class Agreed(msgspec.Struct, frozen=True):
    """``result`` for whoever asked, and the places of those who said otherwise."""

    result: Any
    against: frozenset[int] = frozenset()


Rule = Callable[[Sequence[Any], int], Agreed]


def majority(count: int) -> int:
    return count // 2 + 1


def rule_for(request: Json) -> Rule | None:
    """How answers to this request are brought together; None where one answer is enough."""
    method, params = request.get("method"), request.get("params") or []
    if method == "getSignatureStatuses":
        return partial(statuses, count=len(params[0]))
    if method == "getSignaturesForAddress":
        return partial(signatures, limit=_option(params, "limit") or 1_000)
    if method in ALWAYS:
        return ALWAYS[method]
    if _commitment(params) != "finalized":
        return None
    if method == "getMultipleAccounts":
        return partial(accounts, count=len(params[0]))
    return IF_FINAL.get(method or "")


# --- rules ----------------------------------------------------------------------------------


def statuses(answers: Sequence[Any], quorum: int, count: int) -> Agreed:
    """Of ``count`` transactions. Where no majority agrees, one is seen, and neither final nor
    missing."""
    slot = _standing(answers, quorum)
    merged: list[Any] = []
    against: set[int] = set()
    for column in _columns([each["value"] for each in answers], count):
        value, others = _status(column, answers, quorum, slot)
        merged.append(value)
        against |= others
    return Agreed(_at_slot(slot, merged), frozenset(against))


def _status(
    column: Sequence[Any], answers: Sequence[Any], quorum: int, slot: int
) -> tuple[Any, set[int]]:
    # What is final stays so, hence also an RPC that lags may tell of it.
    votes = [
        _end(value) if value is not None else "" if _slot(each) >= slot else None
        for value, each in zip(column, answers, strict=True)
    ]
    counts = Counter(vote for vote in votes if vote is not None)
    winner = next((vote for vote, count in counts.items() if count >= quorum), None)
    if winner is None:
        return _not_agreed(column, quorum, slot), set()
    against = {n for n, vote in enumerate(votes) if vote not in (winner, None)}
    if not winner:
        return None, against
    landed, error = json.loads(winner)
    late = {n for n in against if not votes[n] and _slot(answers[n]) < landed + APART}
    return _told(landed, error, "finalized"), against - late


def _end(status: Json) -> str | None:
    """What a status says for good; None where it says nothing for good."""
    return _key([int(status["slot"]), status.get("err")]) if _is_final(status) else None


def _not_agreed(column: Sequence[Any], quorum: int, slot: int) -> Json:
    """Somebody knows it, or nobody can rule it out: it is on its way."""
    seen = [v for v in column if v is not None]
    well = [v for v in seen if v.get("err") is None and _level(v) != "processed"]
    return _told(slot, None, "confirmed" if len(well) >= quorum else "processed")


def _told(slot: int, error: Any, level: str) -> Json:
    return {
        "slot": slot,
        "confirmations": None if level == "finalized" else 0,
        "err": error,
        "status": {"Ok": None} if error is None else {"Err": error},
        "confirmationStatus": level,
    }


def height(answers: Sequence[Any], quorum: int) -> Agreed:
    """The block that a majority has reached, so that at least one honest RPC has."""
    names = ("absoluteSlot", "blockHeight", "epoch", "slotIndex", "slotsInEpoch")
    reached = {
        name: sorted((int(each[name]) for each in answers), reverse=True)[quorum - 1]
        for name in names
    }
    return Agreed(reached)


def accounts(answers: Sequence[Any], quorum: int, count: int) -> Agreed:
    """Each of ``count`` accounts as a majority has it in a block that they all have."""
    return _accounts([each["value"] for each in answers], answers, quorum, count)


def account(answers: Sequence[Any], quorum: int) -> Agreed:
    agreed = _accounts([[each["value"]] for each in answers], answers, quorum, 1)
    result = {**agreed.result, "value": agreed.result["value"][0]}
    return Agreed(result, agreed.against)


def _accounts(values: Sequence[Any], answers: Sequence[Any], quorum: int, count: int) -> Agreed:
    slot = _standing(answers, quorum)
    fresh = [_slot(each) >= slot for each in answers]
    merged: list[Any] = []
    against: set[int] = set()
    for column in _columns(values, count):
        keys = [_account(value) for value in column]
        votes = Counter(key for key, counts in zip(keys, fresh, strict=True) if counts)
        winner, agreeing = votes.most_common(1)[0]
        if agreeing < quorum:
            raise Disagreement("an account")
        merged.append(_rebuilt(winner))
        against |= {n for n, key in enumerate(keys) if fresh[n] and key != winner}
    return Agreed(_at_slot(slot, merged), frozenset(against))


def signatures(answers: Sequence[Any], quorum: int, limit: int) -> Agreed:
    """Transactions of an address, newest first: those that a majority knows; final are those
    of which a majority says so.

    One that is known to too few to count and to too many to leave out is a disagreement.
    """
    known = [{_entry(row): row for row in rows} for rows in answers]
    votes = Counter(key for rows in known for key in rows)
    kept = {key for key, count in votes.items() if count >= quorum}
    if any(len(answers) - votes[key] < quorum for key in votes.keys() - kept):
        raise Disagreement("the history of an account")
    if len(kept) < limit <= max(map(len, known)):
        raise Disagreement("a long history of an account")
    # As ordered by whoever knows most of them; what is in none of its slots goes by its slot.
    final = Counter(key for rows in known for key in rows if _is_over(rows[key]))
    merged: dict[str, Any] = {}
    for rows in sorted(known, key=lambda rows: -len(kept & rows.keys())):
        for key in rows:
            if key in kept:
                level = "finalized" if final[key] >= quorum else "confirmed"
                merged.setdefault(key, _row(rows[key], level))
    ordered = sorted(merged.values(), key=lambda row: -int(row["slot"]))
    against = {n for n, rows in enumerate(known) if rows.keys() - kept}
    return Agreed(ordered, frozenset(against))


def _entry(row: Any) -> str:
    return _key([row["signature"], int(row["slot"]), row.get("err")])


def _is_over(row: Json) -> bool:
    """RPCs that say nothing of it were asked for final ones."""
    return row.get("confirmationStatus") in (None, "finalized")


def _row(row: Json, level: str) -> Json:
    at, memo = row.get("blockTime"), row.get("memo")
    return {
        "signature": row["signature"],
        "slot": int(row["slot"]),
        "err": row.get("err"),
        "memo": memo if isinstance(memo, str) else None,
        "blockTime": at if isinstance(at, int) else None,
        "confirmationStatus": level,
    }


def transaction(answers: Sequence[Any], quorum: int) -> Agreed:
    """What one transaction did, in money."""
    return _plurality(answers, quorum, _effects, "a transaction")


def identity(answers: Sequence[Any], quorum: int) -> Agreed:
    return _plurality(answers, quorum, _key, "which cluster this is: are all RPCs of the same")


def blockhash(answers: Sequence[Any], quorum: int) -> Agreed:
    """The first RPC's whose word on how long it lives fits the majority's."""
    ends = [int(each["value"]["lastValidBlockHeight"]) for each in answers]
    middle = sorted(ends, reverse=True)[quorum - 1]
    fitting = [n for n, end in enumerate(ends) if abs(end - middle) <= LIFE]
    chosen = answers[fitting[0]]
    value = {
        "blockhash": str(chosen["value"]["blockhash"]),
        "lastValidBlockHeight": max(ends[fitting[0]], middle) + APART,
    }
    against = frozenset(range(len(ends))) - frozenset(fitting)
    return Agreed(_at_slot(_slot(chosen), value), against)


ALWAYS: dict[str, Rule] = {"getGenesisHash": identity, "getLatestBlockhash": blockhash}
IF_FINAL: dict[str, Rule] = {
    "getEpochInfo": height,
    "getAccountInfo": account,
    "getTransaction": transaction,
}


# --- parts ----------------------------------------------------------------------------------


def _plurality(answers: Sequence[Any], quorum: int, key: Callable[[Any], str], what: str) -> Agreed:
    keys = [key(each) for each in answers]
    winner, count = Counter(keys).most_common(1)[0]
    if count < quorum:
        raise Disagreement(what)
    against = frozenset(n for n, each in enumerate(keys) if each != winner)
    return Agreed(answers[keys.index(winner)], against)


def _standing(answers: Sequence[Any], quorum: int) -> int:
    """The newest slot that a majority has reached."""
    return sorted((_slot(each) for each in answers), reverse=True)[quorum - 1]


def _slot(answer: Any) -> int:
    return int(answer["context"]["slot"])


def _at_slot(slot: int, value: Any) -> Json:
    return {"context": {"slot": slot}, "value": value}


def _columns(rows: Sequence[Sequence[Any]], count: int) -> list[tuple[Any, ...]]:
    """What each said of the first, of the second, … of ``count`` things."""
    if any(len(row) != count for row in rows):
        raise ValueError("an answer for other things than were asked for")
    return list(zip(*rows, strict=True))


def _level(status: Json) -> str:
    told = status.get("confirmationStatus")
    if told is None:
        return "finalized" if status.get("confirmations") is None else "processed"
    return str(told)


def _is_final(status: Json) -> bool:
    return _level(status) == "finalized"


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _account(value: Any) -> str:
    """What counts of it; the rest differs between versions of RPCs."""
    if value is None:
        return ""
    return _key([value["lamports"], value["owner"], value["data"], bool(value["executable"])])


def _rebuilt(key: str) -> Json | None:
    if not key:
        return None
    lamports, owner, data, executable = json.loads(key)
    told = {"lamports": lamports, "owner": owner, "data": data, "executable": executable}
    return told | {"rentEpoch": 0}


def _effects(found: Any) -> str:
    if found is None:
        return ""
    meta = found["meta"] or {}
    money = [meta.get(name) for name in ("err", "preBalances", "postBalances")]
    tokens = [_tokens(meta.get(name)) for name in ("preTokenBalances", "postTokenBalances")]
    return _key([found["slot"], found["transaction"], money, tokens])


def _tokens(balances: Any) -> list[Any]:
    return [
        [each["accountIndex"], each["mint"], each.get("owner"), each["uiTokenAmount"]["amount"]]
        for each in balances or ()
    ]


def _option(params: Sequence[Any], name: str) -> Any:
    options = params[-1] if params and isinstance(params[-1], dict) else {}
    return options.get(name)


def _commitment(params: Sequence[Any]) -> str:
    """RPCs take finalized where nothing is said."""
    return str(_option(params, "commitment") or "finalized")
