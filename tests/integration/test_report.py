"""`tabgrid report`: what each day moved, beside balances that the postings prove."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tabgrid_server.cli.report import report
from tabgrid_server.store import ledger as books
from tests.support.books import CREDIT, add_owner, new_job, opened, refund, settlement

DAY = 86_400.0


def run(*arguments: str) -> Result:
    return CliRunner(env={"TABGRID_SERVER_DATA": None}).invoke(report, arguments)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Day 0: credit given, a job held. Day 1: it is settled, and one more fails and is
    refunded. Day 2: the earnings are released, up to the last tenth of a second."""
    sqlite = f"sqlite:///{tmp_path / 'tabgrid.db'}"
    url = sqlite if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))

    async def write() -> None:
        async with opened(url) as store:
            await add_owner(store)
            await store.submit(new_job("job_1"))
            await store.settle(settlement("job_1", finished_at=DAY, release_at=DAY))
            await store.submit(new_job("job_2", submitted_at=DAY + 5))
            await store.refund(refund("job_2", finished_at=2 * DAY - 0.1))
            await store.write(books.release_due, 3 * DAY - 0.1, 10)

    asyncio.run(write())
    return url


def test_days_and_their_closing_balances(url: str) -> None:
    told = run("--database", url, "--day", "1970-01-03", "--days", "3", "--json")
    assert told.exit_code == 0, told.output
    days = json.loads(told.output)["days"]
    assert [day["day"] for day in days] == ["1970-01-01", "1970-01-02", "1970-01-03"]
    counts = [{each["kind"]: each["count"] for each in day["moved"]} for day in days]
    assert counts == [
        {"grant": 1, "hold": 1},
        {"settle": 1, "hold": 1, "refund": 1},
        {"release": 1},
    ]
    settled = next(each for each in days[1]["moved"] if each["kind"] == "settle")
    assert settled["amounts"] == {"hold": -100, "withheld": 95, "fees": 5}
    closing = [day["closing"] for day in days]
    assert [(c["credit"], c["hold"], c["withheld"], c["claimable"]) for c in closing] == [
        (CREDIT - 100, 100, 0, 0), (CREDIT - 100, 0, 95, 0), (CREDIT - 100, 0, 0, 95),
    ]  # fmt: skip
    assert all(sum(c.values()) == 0 for c in closing)


def test_a_part_of_the_days_closes_alike(url: str) -> None:
    all_days = json.loads(
        run("--database", url, "--day", "1970-01-03", "--days", "3", "--json").output
    )
    for number, day in enumerate(("1970-01-01", "1970-01-02", "1970-01-03")):
        alone = json.loads(run("--database", url, "--day", day, "--json").output)
        assert alone["days"] == [all_days["days"][number]]


def test_the_table_for_people(url: str) -> None:
    told = run("--database", url, "--day", "1970-01-02")
    assert "1970-01-02 (UTC), in TGT" in told.output
    assert "settle" in told.output
    assert "0.000095" in told.output
    assert "nothing moved" in run("--database", url).output


def test_what_cannot_be_reported_is_said(tmp_path: Path, url: str) -> None:
    nothing = run("--data", str(tmp_path / "elsewhere"))
    assert nothing.exit_code == 2
    assert "There is no database" in nothing.output
    assert run("--database", url, "--day", "yesterday").exit_code == 2
    assert run("--database", url, "--days", "0").exit_code == 2
