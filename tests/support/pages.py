"""Made-up answers of a grid, and views that give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tabgrid_models.calibration import (
    Calibration,
    Cheat,
    Honest,
    Spread,
    VariantCalibration,
)
from tabgrid_models.connectors.classify import ClassifyInput
from tabgrid_models.connectors.embeddings import EmbeddingsInput
from tabgrid_models.drawing import TextToImageInput
from tabgrid_server.api.schemas.checks import Check, Draw, Evidence
from tabgrid_server.api.schemas.claims import Claim
from tabgrid_server.api.schemas.epochs import Epoch, Epochs, Leaf, Leaves, Proof
from tabgrid_server.api.schemas.grid import Grid, GridModel, Minute, Node, Stats, Token, Unsupported
from tabgrid_server.api.schemas.health import (
    ClassHealth,
    Health,
    HealthCounts,
    HealthSpan,
    QuarantinedClass,
)
from tabgrid_server.api.schemas.jobs import JobRow
from tabgrid_server.api.schemas.receipts import Receipt
from tabgrid_server.api.schemas.transactions import Move, OnChain, Step, Transaction
from tabgrid_server.api.schemas.trust import UnitRecord, WalletRecord
from tabgrid_server.api.schemas.wallets import Posting, Postings, Statement, StatementLine, Wallet
from tabgrid_server.pages import Assets, error_page, routes
from tabgrid_server.pages.forms import fields
from tabgrid_server.pages.views import Chain, ModelCard, Picture

#: Assets that pages name.
NAMES = ("site.css", "explorer.js", "playground.js", "statement.js", "node.js", "fonts/a.woff2")

ADDRESS = "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin"
STRANGER = "4Nd1mYQk6hJ2v8x5oQeWvG816bUx9EPjHmaT23yvVM2Z"
JOB_ID = "job_01KAR8YEWQ2JE73CC4QBWG06PD"
NOBODY = "job_01KAR8YEWQ2JE73CC4QBWG0000"
DIGEST = "39" * 32
TOKEN = Token("TGT", 6, "So11111111111111111111111111111111111111112")

CALIBRATION = Calibration(
    model="mini",
    digest=DIGEST,
    connector="embeddings",
    comparator_version=1,
    unit="1 - cosine of the worst row",
    share=0.999,
    margin=10,
    backends={"cpu": "<b>onnxruntime</b>", "wasm": "Chromium"},
    variants=(
        VariantCalibration(
            variant="q8",
            dtype="q8",
            threshold=1e-7,
            floor=1e-7,
            honest=(Honest("cpu", "wasm", Spread(50, 0.0, 1e-13, 5e-13, 1e-12, 2e-12, 2e-12)),),
            held_out=50,
            refused=0,
            cheats=(
                Cheat("random unit vectors", 40, 40, Spread(40, 0.7, 1.0, 1.1, 1.2, 1.2, 1.2)),
                Cheat("a little <off>", 40, 10, Spread(40, 1e-8, 5e-8, 2e-7, 3e-7, 3e-7, 3e-7)),
                Cheat("no vectors at all", 40, 40, None),
            ),
        ),
    ),
)
NODE = Node(
    id="node_01KAR8YEWQ2JE73CC4QBWG06PD",
    wallet=ADDRESS,
    host="browser",
    backend="webgpu",
    device='<b>"Apple M2"</b>',
    grids=("text",),
    state="ready",
    jobs_done=3,
    connected_at=1_000.0,
)
JOB = JobRow(
    id=JOB_ID,
    state="done",
    grid="text",
    model="all-MiniLM-L6-v2",
    digest=DIGEST,
    connector="embeddings",
    price=10_000,
    units=10,
    host="browser",
    backend="webgpu",
    device=NODE.device,
    wallet=ADDRESS,
    node=NODE.id,
    submitted_at=1_000.0,
    assigned_at=1_000.003,
    returned_at=1_000.199,
    finished_at=1_000.201,
    attempts=1,
    claim="claim_01KAR8YEWQ2JE73CC4QBWG06PD",
    error=None,
    public=False,
    expired_at=None,
)
RECEIPT = Receipt(
    v=1,
    job=JOB_ID,
    grid="text",
    model=JOB.model,
    digest=DIGEST,
    connector="embeddings",
    comparator_version=1,
    dtype="q8",
    device_class="webgpu:apple:common-3d",
    wallet=ADDRESS,
    worker_key=STRANGER,
    input_hash="aa" * 32,
    result_hash="bb" * 32,
    commit_hash="cc" * 32,
    nonce="dd" * 16,
    signature=ADDRESS + STRANGER,
    units=10,
    price=10_000,
    pay=9_500,
    fee=500,
    audited=False,
    settled_at=1_000.201,
    release_at=1_020.201,
)
EPOCH = Epoch(
    epoch=7,
    v=2,
    count=3,
    receipts=1,
    wallets=1,
    corrections=5,
    corrected="ba" * 32,
    root="ee" * 32,
    prev_root="ff" * 32,
    closed_at=1_060.0,
    state="final",
    signature=STRANGER + ADDRESS,
    slot=420,
    final_at=1_070.0,
    memo='{"v":1,"epoch":7,"root":"<b>"}',
)
PROOF = Proof(JOB_ID, "ab" * 32, 0, ("cd" * 32,), EPOCH)
CLAIM = Claim(
    id="claim_01KAR8YEWQ2JE73CC4QBWG06PD",
    wallet=ADDRESS,
    amount=9_500,
    fee=0,
    push_fee=None,
    state="finalized",
    transaction=None,
    signature=STRANGER + ADDRESS,
    error=None,
    created_at=1_030.0,
    updated_at=1_042.0,
    expires_at=None,
)
SIGNATURE = STRANGER + ADDRESS
STATEMENT = (
    StatementLine(9, 1_042.0, "pay", "paid", 9_500, 37_000_000, CLAIM.id, SIGNATURE),
    StatementLine(9, 1_042.0, "pay", "in_flight", -9_500, 2_000_000, CLAIM.id, SIGNATURE),
    StatementLine(8, 1_000.2, "settle", "withheld", 9_500, 1_240_000, JOB_ID, None),
)
POSTING = Posting(8, 1_000.2, "settle", "withheld", ADDRESS, 9_500, JOB_ID, None)
CHECK = Check(
    id="audit_1", job=JOB_ID, purpose="audit", auditor=STRANGER, device_class="<i>cpu</i>",
    comparator_version=1, distance=3e-8, threshold=1e-7, agreed=True, checked_at=1_010.0,
    wallet=ADDRESS,
)  # fmt: skip
EVIDENCE = Evidence(
    job=JOB_ID,
    state="right",
    draw=Draw(206_000, 327, "ab" * 32, 2_000.0, "cd" * 32, 12_345),
    checks=(CHECK,),
    measure="1 - cosine of the worst row",
)
RECORD = WalletRecord(
    ADDRESS, 412, 412, 70, 69, 67, 1, 1, 1,
    (
        UnitRecord(
            model="mini", digest=DIGEST, dtype="q8", device_class="<b>class</b>", jobs=412,
            subject=412, drawn=70, checked=69, right=67, wrong=1, open=1, standing="proven",
            reason="", strikes=1, first_at=10.0, last_at=1_000.0,
        ),
    ),
)  # fmt: skip
ON_CHAIN = OnChain(
    signature=SIGNATURE,
    slot=312,
    at=1_031.0,
    error=None,
    fee=10_000,
    units=20_350,
    signers=(ADDRESS, STRANGER),
    steps=(Step("Token", "Transfer 9500 base units"), Step("Memo", "<b>not markup</b>")),
    moves=(Move(ADDRESS, 9_500), Move(STRANGER, -9_500)),
)
WALLET = Wallet(
    address=ADDRESS,
    jobs_done=412,
    earned=43_812_500,
    withheld=1_240_000,
    claimable=3_572_500,
    in_flight=2_000_000,
    paid=37_000_000,
    next_release_at=1_020.0,
    token=TOKEN,
)
GRID = Grid(
    id="text",
    title="Text",
    description="Sentences become vectors.",
    models=(
        GridModel(
            id="all-MiniLM-L6-v2",
            digest=DIGEST,
            title="all-MiniLM-L6-v2",
            connector="embeddings",
            unit="token",
            price_per_unit=1_000,
            licence="Apache-2.0",
            download_bytes=23_400_000,
            memory_mib=180,
        ),
    ),
    token=TOKEN,
    fee_bps=500,
    check_bps=None,
    release_s=20,
    nodes=1,
    queued=0,
    running=0,
)


CARD = ModelCard(
    model=GRID.models[0],
    grid="text",
    description="Sentences become vectors.",
    source="https://models.example/minilm",
    config={"dimensions": 384},
    fields=fields(EmbeddingsInput),
    readme="# all-MiniLM-L6-v2\n\n<b>Not markup.</b>\n\n## Limits\n\nEnglish.\n",
)
DRAWING = msgspec.structs.replace(
    CARD,
    model=msgspec.structs.replace(
        GRID.models[0], id="scenes", title="Scenes", connector="text-to-image", unit="tile step"
    ),
    grid="images",
    description="Simple scenes.",
    config={
        "sizes": ["64x64", "96x64"], "default_steps": 8, "max_steps": 50, "guided": True,
        "default_guidance": 4.0,
    },
    fields=fields(TextToImageInput),
)  # fmt: skip
OTHER = msgspec.structs.replace(
    CARD,
    model=msgspec.structs.replace(
        GRID.models[0], id="labels", title="Labels", connector="classify"
    ),
    grid="labels",
    fields=fields(ClassifyInput),
    readme="",
)
#: What a stranger typed.
PROMPT = "<img src=x onerror=alert(1)>"
DRAWN = msgspec.structs.replace(
    JOB, id="job_01KAR8YEWQ2JE73CC4QBWG06PE", model="scenes", connector="text-to-image",
    grid="images", public=True,
)  # fmt: skip


class MadeViews:
    """``Views`` over what it is given; ``empty`` is a grid on its first day."""

    def __init__(self, empty: bool = False, jobs: Sequence[JobRow] = (JOB,)) -> None:
        self.jobs = () if empty else tuple(jobs)
        self.empty = empty

    async def calibrations(self) -> Sequence[Calibration]:
        return [CALIBRATION]

    async def stats(self) -> Stats:
        done = 0 if self.empty else 48_213
        return Stats(
            nodes_by_backend={} if self.empty else {"webgpu": 1},
            nodes=0 if self.empty else 1,
            running=0,
            queued=0,
            done=done,
            failed=0,
            settled=done * 9_500,
            paid=0,
            token=TOKEN,
            hour=tuple(Minute(60.0 * i, done and i, 30.0) for i in range(60)),
        )

    async def recent_jobs(
        self, limit: int, before: str | None = None, wallet: str | None = None
    ) -> Sequence[JobRow]:
        rows = [job for job in self.jobs if wallet in (None, job.wallet)]
        return [job for job in rows if before is None or job.id < before][:limit]

    async def job(self, id: str) -> JobRow | None:
        return next((job for job in self.jobs if job.id == id), None)

    async def pictures(self, limit: int, before: str | None = None) -> Sequence[Picture]:
        rows = [job for job in self.jobs if before is None or job.id < before]
        found = [await self.picture(job) for job in rows]
        return [picture for picture in found if picture][:limit]

    async def picture(self, job: JobRow) -> Picture | None:
        drawn = job.public and job.connector == "text-to-image" and job.state == "done"
        return Picture(job, PROMPT, f"/api/jobs/{job.id}/image.png") if drawn else None

    def models(self) -> Sequence[ModelCard]:
        return [] if self.empty else [CARD, DRAWING, OTHER]

    async def receipt(self, job: str) -> Receipt | None:
        found = await self.job(job)
        return RECEIPT if found and found.state == "done" else None

    async def wallet(self, address: str) -> Wallet:
        if address == ADDRESS and not self.empty:
            return WALLET
        return Wallet(address, 0, 0, 0, 0, 0, 0, None, TOKEN)

    async def statement(
        self, address: str, limit: int, account: str | None, ref: str | None, before: int | None
    ) -> Statement:
        found = [] if self.empty or address != ADDRESS else STATEMENT
        lines = [
            line for line in found if account in (None, line.account) and ref in (None, line.ref)
        ]
        return Statement(tuple(lines), TOKEN, 7 if lines and before is None else None)

    async def claim(self, id: str) -> Claim | None:
        return CLAIM if id == CLAIM.id and not self.empty else None

    async def claims(self, address: str) -> Sequence[Claim]:
        return [CLAIM] if address == ADDRESS and not self.empty else []

    async def transaction(self, signature: str) -> Transaction | None:
        if signature != SIGNATURE:
            return None
        if self.empty:
            return Transaction(CLAIM, None, "The chain cannot be reached right now.")
        return Transaction(CLAIM, ON_CHAIN)

    async def epochs(self, limit: int, before: int | None) -> Epochs:
        problem = "The hot key has no <b>SOL</b>." if self.empty else None
        return Epochs(() if self.empty else (EPOCH,), 3, 60, problem)

    async def epoch(self, number: int) -> Epoch | None:
        return EPOCH if number == 7 else None

    async def leaves(self, number: int, start: int, limit: int) -> Leaves:
        text = msgspec.json.encode(RECEIPT).decode()
        earned = Leaf("earned", wallet=ADDRESS, token="TGT", earned=9_500)
        return Leaves(7, start, (Leaf("receipt", seq=1, receipt=text), earned), 2)

    async def memo_on_chain(self, epoch: Epoch) -> str | None:
        return None if self.empty else epoch.memo

    async def proof(self, job: str) -> Proof | None:
        return None if self.empty else PROOF

    async def evidence(self, job: str, receipt: Receipt | None) -> Evidence:
        return EVIDENCE if receipt else Evidence(job, "unsettled", None, (), "")

    async def record(self, address: str) -> WalletRecord:
        if address == ADDRESS and not self.empty:
            return RECORD
        return WalletRecord(address, 0, 0, 0, 0, 0, 0, 0, 0, ())

    async def health(self, grid: str, by: Literal["hour", "day"]) -> Health | None:
        spans = tuple(HealthSpan(40, 40, 4, 4, 1, 0, at=3_600 * n) for n in range(2))
        total, none = HealthCounts(80, 80, 8, 8, 2, 0), HealthCounts(0, 0, 0, 0, 0, 0)
        if grid != "text":
            return None
        if self.empty:
            return Health(grid, by, 3_600, (), none, (), 0, (), {}, 0)
        kind = ClassHealth(
            80, 80, 8, 8, 2, 0, model="mini", digest=DIGEST, dtype="q8",
            device_class="<b>class</b>", spans=spans[:1],
        )  # fmt: skip
        shut = QuarantinedClass("mini", DIGEST, "q8", "<b>class</b>", 3)
        references = {"cpu:<i>lab</i>": 2}
        return Health(grid, by, 3_600, spans, total, (kind,), 1, (shut,), references, 3)

    async def postings(
        self, total: Literal["settled", "paid", "refunded"], limit: int, before: int | None
    ) -> Postings:
        found = [] if self.empty or before else [POSTING]
        return Postings(tuple(found), TOKEN, 8 if found else None)

    async def job_postings(self, job: str) -> Postings:
        return Postings(() if self.empty else (POSTING,), TOKEN, None)

    async def grids(self) -> Sequence[Grid]:
        return [] if self.empty else [GRID]

    async def unsupported(self) -> Sequence[Unsupported]:
        kind = Unsupported(JOB.model, "<i>webgpu:acme</i>", "wrong_numbers", ("q4",), 3)
        return [] if self.empty else [kind]

    async def nodes(self) -> Sequence[Node]:
        return [] if self.empty else [NODE]

    def chain(self) -> Chain:
        return Chain("localnet", local=True, claims=True, token=TOKEN)


def job(**changes: object) -> JobRow:
    return msgspec.structs.replace(JOB, **changes)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_page(request, error.status_code, error.detail)


def browser_of(views: MadeViews) -> httpx.AsyncClient:
    """The pages alone, over these views."""
    app = Starlette(routes=routes(), exception_handlers={HTTPException: _on_http_exception})
    app.state.views = views
    app.state.assets = Assets({name: f"{name}?hash" for name in NAMES})
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://grid.example")
