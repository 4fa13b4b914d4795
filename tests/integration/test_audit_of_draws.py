"""Draws and checks of a real grid, audited from outside two days later; and planted lies.

Lies are planted as a dishonest operator would: in the database of the running grid, or by
another chain of secrets.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from typing import Any

import pytest

from tabgrid_server.coordinator.draws import Draws
from tabgrid_server.trust.draws import draw
from tests.integration.conftest import EchoGrid
from tests.support.drawn import JOBS, SECRET_TEXT, Past
from tests.support.outside import audit, fresh, tampering

#: A grid is started twice, works and is audited, all in processes of their own.
pytestmark = pytest.mark.timeout(500)

DRAWN = "receipts say of their draw what its secret gives"
CHECKED = "each answer that was drawn has been checked, or given up in public"
FEW = "at most 10% of drawn answers were given up, of each wallet too"
GIVEN_UP = "no answer that was drawn was given up"
NAMED = "each receipt names the secret that was fixed for its day"
CHAINED = "secrets of draws lead back to the anchor"
SURE = "no answer was drawn with less probability than the grid's rule"
STEPS = "the steps that were run again are those that the secret names"
SIGNED = "each receipt's commitment is the hash of what its node signed"


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    made = Past(EchoGrid(tmp_path_factory.mktemp("past")))
    asyncio.run(made.work())
    made.today()
    yield made
    made.grid.programs.stop()


@pytest.fixture
def tamper(past: Past) -> Iterator[Callable[[str], None]]:
    yield from tampering(past.proving)


def receipts(past: Past) -> dict[str, dict[str, Any]]:
    with closing(sqlite3.connect(past.proving.database)) as connection:
        rows = connection.execute("SELECT job_id, body FROM receipts ORDER BY seq").fetchall()
    return {job: json.loads(body) for job, body in rows}


def altered(receipt: dict[str, Any], **changes: Any) -> str:
    """SQL that puts another receipt in this one's place, its hash beside it altered too."""
    body = json.dumps(receipt | changes).encode()
    hash = sha256(body).hexdigest()
    return (
        f"UPDATE receipts SET body = x'{body.hex()}', hash = '{hash}'"
        f" WHERE job_id = '{receipt['job']}'"
    )


async def test_all_draws_of_days_that_are_over_are_made_again(past: Past) -> None:
    told = await fresh(past.proving)
    assert told.broken == {}, told.text
    drawn = told.json["summary"]["draws"]
    assert drawn == {"recomputed": JOBS + 2, "later": 0, "none": 0}
    by_job = receipts(past)
    unsure = [each for each in by_job.values() if each["audit_probability"] < 1_000_000]
    assert 0 < len(unsure) <= JOBS - 50, "some were left to the draw"
    assert told.json["summary"]["checks"] > 50
    # The grid stood still when the time of one was over, and says so.
    assert told.warnings == {GIVEN_UP: [f"{past.unchecked}: down"]}
    text = (await audit(past.proving)).text
    assert "66 drawn again" in text
    assert "checked, 1 given up (" in text
    async with past.grid.client() as client:
        public = (await client.get("/api/draws")).json()
        day = unsure[0]["draw_epoch"]
        secret = (await client.get(f"/api/draws/{day}")).json()
        today = await client.get(f"/api/draws/{public['epoch']}")
    assert today.status_code == 404, "it decides today"
    assert secret["commitment"] == unsure[0]["draw_commitment"]
    for each in by_job.values():
        number = draw(bytes.fromhex(secret["secret"]), bytes.fromhex(each["commit_hash"]))
        assert (number < each["audit_probability"]) == each["audited"]


async def test_a_flipped_flag_is_found(past: Past, tamper: Callable[[str], None]) -> None:
    by_job = receipts(past)
    flipped = [by_job[past.jobs[5]], by_job[past.jobs[-1]]]
    for each in flipped:
        tamper(altered(each, audited=not each["audited"]))
    told = await fresh(past.proving)
    assert told.code == 1
    assert [each.split()[0] for each in told.broken[DRAWN]] == [each["job"] for each in flipped]


async def test_an_altered_probability_is_found(past: Past, tamper: Callable[[str], None]) -> None:
    early = receipts(past)[past.jobs[7]]
    tamper(altered(early, audit_probability=60_000))
    told = await fresh(past.proving)
    assert told.code == 1
    assert told.broken[SURE] == [f"{early['job']}, 60,000 in a million instead of 1,000,000"]


async def test_a_removed_check_is_found(past: Past, tamper: Callable[[str], None]) -> None:
    """The one that a friend of the operator would not like to be seen."""
    tamper(f"DELETE FROM checks WHERE job_id = '{past.wrong}'")
    told = await fresh(past.proving)
    assert told.code == 1
    assert told.broken[CHECKED] == [past.wrong]
    assert (told.json["summary"]["fates"]["missing"], told.warnings.keys()) == (1, {GIVEN_UP})


def lost(jobs: list[str]) -> str:
    """SQL that says that nobody could check these."""
    rows = [f"('givenup_{job}', '{job}', 'audit', 'late', 1.0, 2.0)" for job in jobs]
    return f"INSERT INTO given_up VALUES {', '.join(rows)}"


def unchecked(jobs: list[str]) -> str:
    names = ", ".join(f"'{job}'" for job in jobs)
    return f"DELETE FROM checks WHERE job_id IN ({names})"


async def test_a_check_that_nobody_could_make_is_a_warning_and_many_of_them_are_a_failure(
    past: Past, tamper: Callable[[str], None]
) -> None:
    """What an operator might write who would rather not have a friend's answers looked at."""
    drawn = [each["job"] for each in receipts(past).values() if each["audited"]]
    tamper(unchecked(drawn[1:3]))
    tamper(lost(drawn[1:3]))
    told = await fresh(past.proving)
    assert (told.code, told.broken) == (0, {})
    assert f"{drawn[1]}: late" in told.warnings[GIVEN_UP]
    # One that the grid itself gave up, and those two.
    assert told.json["summary"]["fates"]["given_up"] == 3
    assert told.json["summary"]["fates"]["why"] == {"down": 1, "late": 2}
    tamper(unchecked(drawn[3:12]))
    tamper(lost(drawn[3:12]))
    told = await fresh(past.proving)
    assert told.code == 1
    every, wallet = told.broken[FEW]
    assert every.startswith("12 of all drawn answers")
    assert wallet.startswith(f"11 of {past.proving.wallet.pubkey()}")
    assert "warning no answer" in (await audit(past.proving)).text


async def test_a_commitment_of_the_operators_choice_is_found(
    past: Past, tamper: Callable[[str], None]
) -> None:
    """Whoever chooses the hash that is drawn by chooses the draw."""
    receipt = receipts(past)[past.jobs[-2]]
    tamper(altered(receipt, commit_hash="00" * 32))
    told = await fresh(past.proving)
    assert told.broken[SIGNED] == [receipt["job"]]


async def test_a_verdict_against_its_own_figures_is_found(
    past: Past, tamper: Callable[[str], None]
) -> None:
    tamper(f"UPDATE checks SET agreed = 1 WHERE job_id = '{past.wrong}'")
    told = await fresh(past.proving)
    assert "each check's verdict is what distance and threshold say" in told.broken


async def test_a_check_of_steps_that_were_never_committed_to_is_found(
    past: Past, tamper: Callable[[str], None]
) -> None:
    """As if a few steps had been looked at, of the operator's own choice."""
    tamper(f"UPDATE checks SET method = 'steps' WHERE job_id = '{past.jobs[3]}'")
    told = await fresh(past.proving)
    assert told.code == 1
    (said,) = told.broken[STEPS]
    assert said.startswith(f"{past.jobs[3]}: its node committed to no steps")


async def test_another_chain_of_secrets_is_found(past: Past) -> None:
    """The operator tells secrets that fit together, and are not those of the receipts."""
    file = past.grid.folder / "data" / "keys" / "draws.key"
    kept = file.read_bytes()
    past.proving.restart()
    file.unlink()  # another one is made at the start
    past.proving.start()
    try:
        told = await fresh(past.proving)
        other = Draws.of_folder(past.grid.folder / "data")
    finally:
        past.proving.restart()
        file.write_bytes(kept)
        past.proving.start()
    assert told.code == 1
    assert len(told.broken[NAMED]) == 5, "examples of all receipts"
    assert CHAINED not in told.broken
    # Whether its secret draws the same of an answer is chance: those that it does not are named.
    differ = [each["job"] for each in receipts(past).values() if not _drawn_by(other, each)]
    assert [each.split()[0] for each in told.broken.get(DRAWN, [])] == differ[:5]


def _drawn_by(other: Draws, receipt: dict[str, Any]) -> bool:
    """Whether these secrets give what the receipt says of its draw."""
    _, secret = other.at(receipt["settled_at"])
    number = draw(secret, bytes.fromhex(receipt["commit_hash"]))
    return bool((number < receipt["audit_probability"]) == receipt["audited"])


async def test_what_was_sent_is_in_no_receipt_and_no_check(past: Past) -> None:
    async with past.grid.client() as client:
        for path in ("/api/receipts", "/api/checks", f"/api/jobs/{past.wrong}/checks"):
            assert SECRET_TEXT not in (await client.get(path)).text


# --- what pages and API tell of it ---------------------------------------------------------


async def get(past: Past, path: str) -> Any:
    async with past.grid.client() as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_jobs_evidence_says_how_it_was_drawn_and_what_was_found(past: Past) -> None:
    wrong = await get(past, f"/api/jobs/{past.wrong}/evidence")
    assert wrong["state"] == "wrong"
    assert [each["purpose"] for each in wrong["checks"]] == ["audit", "second"]
    assert {each["wallet"] for each in wrong["checks"]} == {str(past.cheat.pubkey())}
    assert {each["node_class"] for each in wrong["checks"]} == {"webgpu:lab"}
    assert all(each["distance"] > each["threshold"] for each in wrong["checks"])
    assert wrong["draw"]["number"] < wrong["draw"]["probability"] == 1_000_000
    by_job = receipts(past)
    told = {job: (await get(past, f"/api/jobs/{job}/evidence")) for job in past.jobs[-14:]}
    for job, each in told.items():
        assert each["state"] == ("right" if by_job[job]["audited"] else "undrawn")
        assert (each["draw"]["number"] < each["draw"]["probability"]) == by_job[job]["audited"]
    down = await get(past, f"/api/jobs/{past.unchecked}/evidence")
    assert (down["state"], down["checks"]) == ("waiting", []), "it has its time once more"
    (fact,) = down["given_up"]
    assert (fact["purpose"], fact["why"]) == ("audit", "down")
    assert (await get(past, f"/api/jobs/{past.unchecked}/checks"))["given_up"] == [fact]
    assert (await get(past, "/api/checks/given-up"))["given_up"] == [fact]
    async with past.grid.client() as client:
        assert (await client.get("/api/jobs/job_nobody/evidence")).status_code == 404


async def test_records_and_health_count_what_receipts_and_checks_say(past: Past) -> None:
    by_job = receipts(past)
    stranger, cheat = past.proving.wallet.pubkey(), past.cheat.pubkey()
    counted = await past.grid.wait_for(
        f"/api/wallets/{stranger}/record", lambda told: told["jobs"] == JOBS
    )
    drawn = sum(by_job[job]["audited"] for job in past.jobs)
    assert (counted["subject"], counted["drawn"]) == (JOBS, drawn)
    assert (counted["checked"], counted["right"], counted["wrong"]) == (drawn, drawn, 0)
    (unit,) = counted["units"]
    assert (unit["device_class"], unit["jobs"]) == ("webgpu:lab", JOBS)
    bad = await get(past, f"/api/wallets/{cheat}/record")
    assert (bad["checked"], bad["right"], bad["wrong"]) == (1, 0, 1)
    health = await get(past, "/api/grids/bench/health?by=day")
    assert health["total"] == {
        "jobs": JOBS + 2, "subject": JOBS + 2, "drawn": drawn + 2, "checked": drawn + 1,
        "differed": 1, "wrong": 1,
    }  # fmt: skip
    (kind,) = health["classes"]
    assert (kind["device_class"], kind["wrong"]) == ("webgpu:lab", 1)
    assert len(health["spans"]) == 30
    assert len((await get(past, "/api/grids/bench/health"))["spans"]) == 48
    async with past.grid.client() as client:
        assert (await client.get("/api/grids/none/health")).status_code == 404
        assert (await client.get("/api/wallets/none/record")).status_code == 404


async def test_the_postings_behind_totals_add_up_to_them(past: Past) -> None:
    stats = await get(past, "/api/stats")
    found: list[Any] = []
    before = ""
    while True:
        page = await get(past, f"/api/postings?of=settled&limit=20{before}")
        found += page["postings"]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert len({each["transfer"] for each in found}) == len(found)
    assert sum(each["kind"] == "settle" for each in found) == stats["done"]
    assert sum(each["amount"] for each in found) == stats["settled"]
    moved = (await get(past, f"/api/jobs/{past.wrong}/postings"))["postings"]
    assert {"hold", "settle", "void"} <= {each["kind"] for each in moved}
    sums: dict[int, int] = {}
    for each in moved:
        sums[each["transfer"]] = sums.get(each["transfer"], 0) + each["amount"]
    assert set(sums.values()) == {0}
    assert "user" not in json.dumps(moved), "whose money it was is nobody's business"
