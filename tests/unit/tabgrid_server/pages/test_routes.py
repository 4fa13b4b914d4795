from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from markupsafe import escape
from msgspec.structs import replace

from tabgrid_server.api.schemas.epochs import Epoch
from tabgrid_server.pages.explorer import ALBUM
from tabgrid_server.pages.views import Chain
from tests.support.pages import (
    ADDRESS,
    DRAWN,
    EPOCH,
    JOB,
    JOB_ID,
    NOBODY,
    PROMPT,
    SIGNATURE,
    STRANGER,
    MadeViews,
    browser_of,
    job,
)

PAGES = (
    "/",
    "/node",
    "/playground",
    "/explorer",
    f"/explorer/jobs/{JOB_ID}",
    f"/explorer/wallets/{ADDRESS}",
    f"/explorer/wallets/{ADDRESS}/statement",
    "/playground/statement",
    f"/explorer/transactions/{SIGNATURE}",
    "/explorer/epochs",
    "/explorer/health",
    "/explorer/health?by=day",
    "/explorer/postings",
    "/explorer/postings?of=paid&before=7",
    "/explorer/postings?of=refunded",
    f"/explorer/jobs/{JOB_ID}/postings",
    "/explorer/pictures",
    "/explorer/epochs/7",
    "/docs",
    "/docs/node-owners",
)


@pytest.fixture
def browser() -> httpx.AsyncClient:
    return browser_of(MadeViews())


@pytest.fixture(params=["busy", "empty"])
def any_grid(request: pytest.FixtureRequest) -> Iterator[httpx.AsyncClient]:
    return browser_of(MadeViews(empty=request.param == "empty", jobs=[JOB, job(state="failed")]))


@pytest.mark.parametrize("path", [path for path in PAGES if "/jobs/" not in path])
async def test_every_page_answers_on_its_first_day_too(
    any_grid: httpx.AsyncClient, path: str
) -> None:
    answer = await any_grid.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", [*PAGES, "/nowhere"])
async def test_pages_hold_to_the_content_security_policy(
    browser: httpx.AsyncClient, path: str
) -> None:
    html = (await browser.get(path)).text
    assert not re.search(r"<[^>]+\sstyle=", html)
    assert not re.search(r"<[^>]+\son[a-z]+=", html)
    assert "<style" not in html
    for script in re.findall(r"<script[^>]*>", html):
        assert 'src="/static/' in script or 'type="application/json"' in script
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)


@pytest.mark.parametrize("path", PAGES)
async def test_pages_have_one_title_one_heading_and_a_way_to_skip(
    browser: httpx.AsyncClient, path: str
) -> None:
    html = (await browser.get(path)).text
    assert len(re.findall(r"<h1[ >]", html)) == 1
    assert len(re.findall(r"<title>", html.split("</head>")[0])) == 1
    assert '<a class="skip" href="#main">' in html


@pytest.mark.parametrize("path", PAGES)
async def test_ids_are_unique(browser: httpx.AsyncClient, path: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', (await browser.get(path)).text)
    assert len(ids) == len(set(ids))


async def test_what_a_node_says_of_itself_stays_text(browser: httpx.AsyncClient) -> None:
    for path in ("/explorer", f"/explorer/jobs/{JOB_ID}", f"/explorer/wallets/{ADDRESS}"):
        html = (await browser.get(path)).text
        assert '<b>"Apple' not in html
        assert "&lt;b&gt;&#34;Apple M2&#34;&lt;/b&gt;" in html


async def test_the_node_page_has_every_control_that_a_test_may_use(
    browser: httpx.AsyncClient,
) -> None:
    html = (await browser.get("/node")).text
    for testid in (
        "connect-wallet", "wallet-address", "grid-text", "start", "pause", "node-state",
        "backend", "jobs-done", "earned", "claimable", "claim", "claim-status",
    ):  # fmt: skip
        assert html.count(f'data-testid="{testid}"') == 1, testid


async def test_the_node_page_hands_its_script_the_assets_and_the_chain(
    browser: httpx.AsyncClient,
) -> None:
    data = _page_data(await browser.get("/node"))
    assert data["assets"]["node.js"] == "/static/dist/node.js?hash"
    assert data["grids"][0]["id"] == "text"
    assert data["chain"]["local"] is True


async def test_the_explorer_shows_totals_and_jobs_without_script(
    browser: httpx.AsyncClient,
) -> None:
    html = (await browser.get("/explorer")).text
    assert 'data-figure="done">48,213</a></dd>' in html
    assert html.count('data-testid="job-row"') == 1
    assert f'href="/explorer/jobs/{JOB_ID}"' in html


async def test_an_epoch_shows_its_memo_and_its_receipts(browser: httpx.AsyncClient) -> None:
    html = (await browser.get("/explorer/epochs/7")).text
    assert "&lt;b&gt;" in html
    assert html.count('data-testid="receipt-row"') == 1
    assert f'href="/explorer/jobs/{JOB_ID}"' in html
    assert 'href="/explorer/epochs/6"' in html
    assert 'href="?start=2"' in html
    assert "another memo" not in html
    listed = (await browser.get("/explorer/epochs")).text
    assert 'href="/explorer/epochs/7"' in listed
    assert "3 receipts in none yet" in listed


async def test_an_epoch_shows_where_the_corrections_stood(browser: httpx.AsyncClient) -> None:
    html = (await browser.get("/explorer/epochs/7")).text
    assert "<dt>Corrections</dt><dd>5</dd>" in html
    assert f'href="/api/epochs/7/corrections" title="{"ba" * 32}"' in html


async def test_an_epoch_of_before_says_that_corrections_are_not_in_it() -> None:
    class Early(MadeViews):
        async def epoch(self, number: int) -> Epoch | None:
            return replace(EPOCH, v=1, corrections=None, corrected=None)

    html = (await browser_of(Early()).get("/explorer/epochs/7")).text
    assert '<dt>Corrections</dt><dd><span class="quiet">not in it</span></dd>' in html
    assert 'data-testid="corrected"' not in html


async def test_an_epoch_that_the_chain_has_otherwise_is_not_shown_as_right() -> None:
    class Forged(MadeViews):
        async def memo_on_chain(self, epoch: Epoch) -> str | None:
            return "another"

    assert (
        "The chain has another memo." in (await browser_of(Forged()).get("/explorer/epochs/7")).text
    )


async def test_what_keeps_epochs_from_the_chain_is_said() -> None:
    told = (await browser_of(MadeViews(empty=True)).get("/explorer/epochs")).text
    assert "The hot key has no &lt;b&gt;SOL&lt;/b&gt;." in told


async def test_a_job_leads_to_its_epoch(browser: httpx.AsyncClient) -> None:
    html = (await browser.get(f"/explorer/jobs/{JOB_ID}")).text
    assert 'href="/explorer/epochs/7"' in html
    assert "leaf 1 of 3" in html


async def test_a_transaction_shows_what_the_chain_says_as_text(
    browser: httpx.AsyncClient,
) -> None:
    html = (await browser.get(f"/explorer/transactions/{SIGNATURE}")).text
    assert html.count('data-testid="instruction-row"') == 2
    assert "&lt;b&gt;not markup&lt;/b&gt;" in html
    assert "Received" in html
    assert "Sent" in html


async def test_a_transaction_is_shown_while_the_chain_is_down() -> None:
    answer = await browser_of(MadeViews(empty=True)).get(f"/explorer/transactions/{SIGNATURE}")
    assert answer.status_code == 200
    assert "The chain cannot be reached right now." in answer.text


async def test_a_transaction_of_somebody_else_is_not_ours_to_show(
    browser: httpx.AsyncClient,
) -> None:
    answer = await browser.get(f"/explorer/transactions/{ADDRESS}{STRANGER}")
    assert answer.status_code == 404


async def test_the_node_page_says_why_claims_are_paused(browser: httpx.AsyncClient) -> None:
    class Paused(MadeViews):
        def chain(self) -> Chain:
            return replace(super().chain(), paused="Claims are paused: the <b>cap</b>.")

    told = (await browser_of(Paused()).get("/node")).text
    assert "Claims are paused: the &lt;b&gt;cap&lt;/b&gt;." in told
    assert "claims-paused" not in (await browser.get("/node")).text


async def test_a_long_list_goes_on_on_the_next_page() -> None:
    ids = [f"job_{i:026d}" for i in range(60, 0, -1)]
    browser = browser_of(MadeViews(jobs=[job(id=id) for id in ids]))
    seen: list[str] = []
    path: str | None = "/explorer"
    while path:
        html = (await browser.get(path)).text
        seen += re.findall(r'data-job="([^"]+)"', html)
        older = re.search(r'href="(/explorer\?before=[^"]+)"', html)
        path = older[1] if older else None
    assert seen == ids


async def test_a_finished_job_shows_its_way_to_the_money(browser: httpx.AsyncClient) -> None:
    html = (await browser.get(f"/explorer/jobs/{JOB_ID}")).text
    for words in ("201 ms", "0.01 TGT", "0.0095 TGT", "Computing", "Withheld", "finalized"):
        assert words in html
    assert f'href="/api/receipts/{JOB_ID}"' in html
    assert f'href="/api/jobs/{JOB_ID}"' in html


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("queued", "none yet"),
        ("running", "Nothing is settled before the answer is checked."),
        ("failed", "This job failed."),
        ("cancelled", "Its price went back to the user."),
    ],
)
async def test_an_unfinished_job_says_where_its_price_is(state: str, words: str) -> None:
    over = state in ("failed", "cancelled")
    changes: dict[str, Any] = {"assigned_at": None, "wallet": None} if state == "queued" else {}
    row = job(
        state=state, returned_at=None, finished_at=1_003.0 if over else None,
        error="It was too much." if over else None, **changes,
    )  # fmt: skip
    assert words in (await browser_of(MadeViews(jobs=[row])).get(f"/explorer/jobs/{JOB_ID}")).text


async def test_any_address_is_a_wallet(browser: httpx.AsyncClient) -> None:
    html = (await browser.get(f"/explorer/wallets/{STRANGER}")).text
    assert "This wallet has run no job." in html
    assert "No claim yet." in html


@pytest.mark.parametrize(
    "path",
    [
        f"/explorer/jobs/{NOBODY}",
        "/explorer/jobs/%3Cscript%3E",
        "/explorer/wallets/not-an-address",
        "/explorer/epochs/8",
        "/explorer/epochs/x",
        "/docs/nothing",
        "/docs/..%2Fsecrets",
        "/nowhere",
    ],
)
async def test_what_is_not_there_is_said_with_a_way_on(
    browser: httpx.AsyncClient, path: str
) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 404
    assert "<script>" not in answer.text
    assert 'href="/explorer"' in answer.text


async def test_a_mistyped_page_mark_shows_the_newest_jobs(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/explorer", params={"before": "'; drop table jobs"})
    assert answer.status_code == 200
    assert 'data-testid="job-row"' in answer.text


async def test_public_pictures_of_any_age_are_reached_page_by_page() -> None:
    ids = [f"job_01KAR8YEWQ2JE73CC4QBWG{number:04}" for number in range(ALBUM + 2)]
    drawn = [replace(DRAWN, id=id) for id in reversed(ids)]
    private = replace(DRAWN, public=False, id="job_01KAR8YEWQ2JE73CC4QBWG9999")
    browser = browser_of(MadeViews(jobs=[private, JOB, *drawn]))
    newest = (await browser.get("/explorer/pictures")).text
    assert re.findall(r'data-picture="(.*?)"', newest) == list(reversed(ids[2:]))
    assert PROMPT not in newest
    assert escape(PROMPT) in newest
    [earlier] = re.findall(r'href="(/explorer/pictures\?before=.*?)"', newest)
    last = (await browser.get(earlier)).text
    assert re.findall(r'data-picture="(.*?)"', last) == [ids[1], ids[0]]
    assert "?before=" not in last
    over = (await browser.get("/explorer/pictures", params={"before": ids[0]})).text
    assert "No earlier one" in over
    hostile = (await browser.get("/explorer/pictures", params={"before": "<script>"})).text
    assert re.findall(r'data-picture="(.*?)"', hostile)[0] == ids[-1]


async def test_an_app_can_be_installed(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/manifest.webmanifest")
    assert answer.headers["content-type"].startswith("application/manifest+json")
    icon = answer.json()["icons"][0]
    assert (await browser.get(icon["src"])).headers["content-type"] == icon["type"]


def _page_data(answer: httpx.Response) -> Any:
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', answer.text)
    assert found
    return json.loads(found[1])


async def test_every_amount_of_a_wallet_leads_to_its_postings(browser: httpx.AsyncClient) -> None:
    html = (await browser.get(f"/explorer/wallets/{ADDRESS}")).text
    base = f"/explorer/wallets/{ADDRESS}/statement"
    figures = re.findall(r"<dd>(.*?)</dd>", html.split("Claims</h2>")[0])
    assert [re.findall(r'href="([^"]*)"', figure) for figure in figures if "amount" in figure] == [
        [base], [f"{base}?account=withheld"], [f"{base}?account=claimable"],
        [f"{base}?account=in_flight"], [f"{base}?account=paid"],
    ]  # fmt: skip
    for path in (f"/explorer/jobs/{JOB_ID}", f"/explorer/transactions/{SIGNATURE}"):
        assert f"{base}?ref=" in (await browser.get(path)).text


async def test_a_statement_shows_each_posting_with_its_balance(browser: httpx.AsyncClient) -> None:
    base = f"/explorer/wallets/{ADDRESS}/statement"
    html = (await browser.get(base)).text
    assert html.count('data-testid="statement-line"') == 3
    assert "+<span" in html
    assert "−0.0095 TGT" in html  # noqa: RUF001 a minus sign
    assert "37.00 TGT" in html
    assert "?before=7" in html
    of_job = (await browser.get(f"{base}?ref={JOB_ID}")).text
    assert of_job.count('data-testid="statement-line"') == 1
    hostile = (await browser.get(f"{base}?ref=%3Cscript%3E&before=x")).text
    assert "<script>" not in hostile.split("</head>")[1]
    assert (await browser.get(f"{base}?account=treasury")).status_code == 404
    assert (await browser.get("/explorer/wallets/nobody/statement")).status_code == 404
