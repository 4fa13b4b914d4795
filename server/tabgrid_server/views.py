"""What pages and API show: durable rows, with what is still in memory laid over them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import msgspec

from tabgrid_models.calibration import Calibration
from tabgrid_models.catalogue import download_bytes
from tabgrid_models.connectors.text_to_image import TextToImage
from tabgrid_models.drawing import TextToImageInput

from . import statements
from .api.schemas.checks import Evidence
from .api.schemas.claims import Claim
from .api.schemas.epochs import Epoch, Epochs, Leaves, Proof
from .api.schemas.grid import Grid, GridModel, Node, NodeState, Stats, Token, Totals, Unsupported
from .api.schemas.health import Health
from .api.schemas.jobs import JobRow
from .api.schemas.receipts import Receipt
from .api.schemas.transactions import Transaction
from .api.schemas.trust import WalletRecord
from .api.schemas.wallets import Posting, Postings, Statement, Wallet
from .chain.claims import Claim as StoredClaim
from .chain.payouts import NoChain, Payouts
from .chain.refusals import ChainUnavailable
from .coordinator import Coordinator
from .coordinator.offers import Offer
from .coordinator.rows import row_of
from .errors import NotFound
from .inspection import By, Inspection
from .library import Library
from .pages import forms
from .pages.views import Chain, ModelCard, Picture
from .published import Published
from .store import Job, Store
from .store import claims as stored_claims
from .store import jobs as stored_jobs
from .store import ledger as stored_ledger
from .store import postings as stored_postings
from .store import receipts as stored_receipts
from .store.postings import Total, public_account
from .store.statements import accounts_of_wallet


class GridViews:
    """Read-only questions, as ``pages.views.Views`` asks them."""

    def __init__(
        self,
        coordinator: Coordinator,
        store: Store,
        payouts: Payouts,
        published: Published,
        library: Library,
    ) -> None:
        self._coordinator = coordinator
        self._store = store
        self._payouts = payouts
        self._published = published
        self._inspection = Inspection(coordinator, store)
        self._manifests = library.catalogue
        self._cards = [_card(offer, library) for offer in coordinator.offers.all]
        self._calibrations = tuple(library.calibrations.values())

    @property
    def token(self) -> Token:
        chain = self._coordinator.settings.chain
        return Token(chain.symbol, chain.decimals, self._payouts.mint)

    async def totals(self) -> Totals:
        return msgspec.convert(await self.stats(), Totals, from_attributes=True)

    async def stats(self) -> Stats:
        coordinator = self._coordinator
        nodes = coordinator.nodes.values()
        sums = coordinator.figures.sums
        return Stats(
            nodes_by_backend=dict(Counter(node.hello.backend for node in nodes)),
            nodes=len(nodes),
            running=coordinator.scheduler.running,
            queued=coordinator.scheduler.queued,
            done=sums.done,
            failed=sums.failed,
            settled=self._store.earned(self.token.symbol),
            paid=sums.paid,
            token=self.token,
            hour=coordinator.figures.hour(time.time()),
        )

    async def calibrations(self) -> Sequence[Calibration]:
        return self._calibrations

    async def recent_jobs(
        self, limit: int, before: str | None = None, wallet: str | None = None
    ) -> Sequence[JobRow]:
        jobs = await self._store.read(stored_jobs.page, limit, before, wallet=wallet)
        return [self._row(job) for job in jobs]

    async def job(self, id: str) -> JobRow | None:
        job = await self._store.read(stored_jobs.get, id)
        return self._row(job) if job else None

    def _row(self, job: Job) -> JobRow:
        live = self._coordinator.jobs.get(job.id)
        if live is not None and job.finished_at is None:
            return live.row()
        return row_of(job)

    async def pictures(self, limit: int, before: str | None = None) -> Sequence[Picture]:
        found = await self._store.read(stored_jobs.pictures, limit, before)
        return [_picture(self._row(job), input) for job, input in found]

    async def picture(self, job: JobRow) -> Picture | None:
        if not _is_shown(job):
            return None
        content = await self._store.read(stored_jobs.content, job.id)
        # It may have been let go since the row was read.
        return _picture(job, content.input) if content and content.input else None

    async def receipt(self, job: str) -> Receipt | None:
        stored = await self._store.read(stored_receipts.get, job)
        return msgspec.json.decode(stored.body, type=Receipt) if stored else None

    async def wallet(self, address: str) -> Wallet:
        summary = await self._store.read(stored_ledger.wallet_summary, address, self.token.symbol)
        return Wallet(address=address, token=self.token, **msgspec.structs.asdict(summary))

    async def statement(
        self, address: str, limit: int, account: str | None, ref: str | None, before: int | None
    ) -> Statement:
        mine = accounts_of_wallet(address)
        return await statements.page(
            self._store, mine, self.token, limit, account=account, ref=ref, before=before
        )

    async def claims(self, address: str) -> Sequence[Claim]:
        return [claim_view(c) for c in await self._store.read(stored_claims.of_wallet, address)]

    async def claim(self, id: str) -> Claim | None:
        claim = await self._store.read(stored_claims.get, id)
        return claim_view(claim) if claim else None

    async def transaction(self, signature: str) -> Transaction | None:
        stored = await self._store.read(stored_claims.by_transaction, signature)
        if not stored:
            return None
        claims = tuple(claim_view(claim) for claim in stored)
        try:
            on_chain = await self._payouts.on_chain(signature)
        except (NoChain, ChainUnavailable) as error:
            return Transaction(claims[0], None, str(error), claims)
        return Transaction(claims[0], on_chain, None, claims)

    async def epochs(self, limit: int, before: int | None) -> Epochs:
        epochs, waiting = await self._published.newest(limit, before)
        return Epochs(
            epochs=tuple(epochs),
            waiting=waiting,
            every_s=self._coordinator.settings.chain.epoch_s,
            problem=self._payouts.epochs_problem or None,
        )

    async def epoch(self, number: int) -> Epoch | None:
        try:
            return await self._published.epoch(number)
        except NotFound:
            return None

    async def leaves(self, number: int, start: int, limit: int) -> Leaves:
        return await self._published.leaves(number, start, limit)

    async def memo_on_chain(self, epoch: Epoch) -> str | None:
        if epoch.signature is None:
            return None
        try:
            found = await self._payouts.on_chain(epoch.signature)
        except (NoChain, ChainUnavailable):
            return None
        steps = found.steps if found is not None and found.error is None else ()
        return next((step.text for step in steps if step.program == "Memo"), None)

    async def proof(self, job: str) -> Proof | None:
        return await self._published.proof(job)

    async def evidence(self, job: str, receipt: Receipt | None) -> Evidence:
        return await self._inspection.evidence(job, receipt)

    async def record(self, address: str) -> WalletRecord:
        return await self._inspection.record(address)

    async def health(self, grid: str, by: By) -> Health | None:
        if grid not in self._coordinator.settings.grids:
            return None
        return await self._inspection.health(grid, by, time.time())

    async def postings(self, total: Total, limit: int, before: int | None) -> Postings:
        token = self.token
        found = await self._store.read(stored_postings.behind, total, token.symbol, limit, before)
        return Postings(tuple(map(_posting, found[0])), token, found[1])

    async def job_postings(self, job: str) -> Postings:
        token = self.token
        found = await self._store.read(stored_postings.of_job, job, token.symbol)
        return Postings(tuple(map(_posting, found)), token, None)

    def models(self) -> Sequence[ModelCard]:
        return self._cards

    async def grids(self) -> Sequence[Grid]:
        return [self._grid(id) for id in self._coordinator.settings.grids]

    def _grid(self, id: str) -> Grid:
        settings = self._coordinator.settings.grids[id]
        offers = self._coordinator.offers.of_grid(id)
        scheduler = self._coordinator.scheduler
        leased = Counter(lease.job.grid for lease in scheduler.leases.values())
        return Grid(
            id=id,
            title=settings.title,
            description=settings.description,
            models=tuple(_model(offer) for offer in offers),
            token=self.token,
            fee_bps=settings.fee_bps,
            check_bps=settings.check_bps if self._coordinator.has_references else None,
            release_s=settings.release_s,
            nodes=sum(id in node.hello.grids for node in self._coordinator.nodes.values()),
            queued=sum(scheduler.waiting_for(id, offer.digest) for offer in offers),
            running=leased[id],
        )

    async def unsupported(self) -> Sequence[Unsupported]:
        counted = self._coordinator.state.unsupported.counts()
        return [
            Unsupported(manifest.id, kind.device_class, kind.code, kind.dtypes, devices)
            for kind, devices in counted
            if (manifest := self._manifests.by_digest(kind.digest))
        ]

    async def nodes(self) -> Sequence[Node]:
        return [
            Node(
                id=node.id,
                wallet=node.wallet,
                host=node.hello.host,
                backend=node.hello.backend,
                device=node.hello.device,
                grids=node.hello.grids,
                state=self._state(node.id, node.state),
                jobs_done=node.jobs_done,
                connected_at=node.connected_at,
            )
            for node in self._coordinator.nodes.values()
        ]

    def _state(self, id: str, state: NodeState) -> NodeState:
        known = self._coordinator.scheduler.nodes.get(id)
        return "working" if state == "ready" and known and known.leases else state

    def chain(self) -> Chain:
        chain = self._coordinator.settings.chain
        local, paused = chain.cluster == "localnet", self._payouts.paused
        return Chain(chain.cluster, local, bool(chain.rpc), self.token, chain.epoch_s, paused)


def claim_view(claim: StoredClaim) -> Claim:
    return msgspec.convert(claim, Claim, from_attributes=True)


def _posting(posting: stored_postings.Posting) -> Posting:
    account, wallet = public_account(posting.account)
    return Posting(
        transfer=posting.transfer,
        at=posting.at,
        kind=posting.kind,
        account=account,
        wallet=wallet or posting.wallet,
        amount=posting.amount,
        ref=posting.ref,
        signature=posting.ref if posting.kind == "deposit" else posting.signature,
    )


def _is_shown(job: JobRow) -> bool:
    drawn = job.connector == TextToImage.algorithm and job.state == "done"
    return drawn and job.public and job.expired_at is None


def _picture(job: JobRow, encoded: bytes) -> Picture:
    asked = msgspec.msgpack.decode(encoded, type=TextToImageInput)
    return Picture(job, asked.prompt, f"/api/jobs/{job.id}/image.png")


def _card(offer: Offer, library: Library) -> ModelCard:
    """Read once, at start: neither manifest nor README changes under a running grid."""
    manifest = offer.manifest
    readme = library.folder_of(manifest) / "README.md"
    return ModelCard(
        model=_model(offer),
        grid=offer.grid,
        description=manifest.description,
        source=manifest.source,
        config=manifest.config,
        fields=forms.fields(offer.connector.Input),
        readme=readme.read_text("utf-8") if readme.is_file() else "",
    )


def _model(offer: Offer) -> GridModel:
    manifest = offer.manifest
    smallest = min(manifest.variants, key=lambda v: download_bytes(manifest, v))
    return GridModel(
        id=manifest.id,
        digest=offer.digest,
        title=manifest.title,
        connector=manifest.connector,
        unit=offer.connector.unit,
        price_per_unit=offer.settings.price_per_unit,
        licence=manifest.licence,
        download_bytes=download_bytes(manifest, smallest),
        memory_mib=smallest.memory_mib,
    )
