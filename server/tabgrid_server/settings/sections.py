"""All settings of a coordinator. Every limit says why it is what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

#: The models that come with a checkout.
CHECKOUT_LIBRARY = Path(__file__).resolve().parents[3] / "models" / "library"

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1, le=2**53 - 1)]
Natural = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Secret:
    """Text that is not shown by whatever prints settings."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(…)" if self._text else "Secret()"


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Server(Section, frozen=True):
    host: str = "127.0.0.1"
    port: Port = 8402
    #: As people reach it, e.g. "https://grid.example"; "" means http://host:port. Sign-in
    #: messages name its domain, so a wrong one makes every wallet refuse.
    public_url: str = ""
    data: str = ".tabgrid"
    #: SQLAlchemy URL; "" is SQLite in the data folder.
    database: str = ""
    #: Folder of models; "" is the one in this checkout.
    library: str = ""
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    #: How long running jobs may go on after SIGTERM; container engines kill after 10 s.
    drain_s: Natural = 8
    #: Trust X-Forwarded-For from a proxy on these addresses ("" trusts none).
    proxies: str = ""


class Limits(Section, frozen=True):
    #: 256 texts of 8,192 characters in UTF-8 are at most 8 MiB; more is never useful.
    body_bytes: Positive = 8 * 1024 * 1024
    #: A queue longer than minutes of work only turns an honest 503 into a time-out.
    queue_jobs: Positive = 10_000
    #: One key cannot fill the queue for everybody else.
    jobs_per_key: Positive = 2_000
    #: Per address and minute, for what costs us something without a key: sign-in, new keys.
    public_requests_per_minute: Positive = 120
    #: Per address and day: every key carries demo credit.
    keys_per_day: Positive = 100
    #: Per key and hour: each keeps its wallet's next payment waiting until it is signed.
    refunds_per_hour: Positive = 10
    #: Home and office networks share an address; a farm of thousands should not.
    nodes_per_address: Positive = 64
    nodes: Positive = 20_000
    #: A tab sends about 10 frames per job; the bench's no-op nodes about 500 a second.
    node_frames_per_s: Positive = 2_000
    #: Two missed heartbeats and a bit.
    node_idle_s: Positive = 45
    #: A reader slower than this holds memory that others need.
    send_timeout_s: Positive = 10
    #: How long an HTTP request waits for its job before it is cancelled and refunded.
    request_s: Positive = 120
    #: Live pages per address, and in all: each costs a task and a queue.
    streams_per_address: Positive = 64
    streams: Positive = 5_000


class Scheduling(Section, frozen=True):
    #: A lease is this many times the node's own expected time …
    lease_factor: Positive = 4
    #: … but never shorter (a tab may be throttled) or longer (a user waits).
    lease_min_s: Positive = 15
    lease_max_s: Positive = 300
    #: Handed out this often at most; then the job fails with its last reason and is refunded.
    attempts: Positive = 4
    #: A second copy starts when a job takes this many times what was expected.
    hedge_factor: Positive = 3
    hedge_min_s: Positive = 3
    #: Failures after which a node rests, doubling from 30 s to an hour. To be overtaken by a
    #: competitor that began later is one.
    strikes: Positive = 3
    #: So many answers make up for one: whoever fails fewer than every sixth job never rests.
    answers_per_strike: Positive = 5
    #: Wallets of the operator's own nodes: they yield to volunteers, and audit their answers.
    reference_wallets: tuple[str, ...] = ()
    #: Audits that one reference runs at a time, when no user needs it. 0: no answer is checked.
    audit_places: Natural = 1


class Trust(Section, frozen=True):
    """How strangers' answers are checked, and when they are paid; ``trust.Policy`` says what
    each figure is good for. Only where there are reference nodes."""

    #: The first jobs of a wallet with a model on a kind of device, every one of them checked.
    probation_jobs: Positive = 50
    #: Answers of one that is not proven yet which wait for a look, of one model on a kind of device
    #: and of the whole wallet: at so many it gets no further jobs until half are looked at. It is
    #: what a stranger can send unchecked while references are slow: no more than a probation, and
    #: no fewer, so that those who come honestly are not kept idle by a reference that lags.
    unproven_per_unit: Positive = 50
    unproven_per_wallet: Positive = 150
    #: Of later ones never fewer than this, in hundredths of a percent: 500 is 1 in 20.
    least_audit_bps: Annotated[int, Meta(ge=1, le=10_000)] = 500
    #: A cheat loses this many times what it can win.
    margin: Positive = 10
    #: Earnings can be claimed after so many further jobs and after the grid's ``release_s``, …
    release_jobs: Natural = 400
    #: … or after this time alone: who stops working is paid for the last jobs too.
    release_idle_s: Natural = 30 * 24 * 3600
    #: Withheld answers that are looked at again after a wrong one.
    reaudits: Natural = 40
    #: How long an owner may appeal; then what was withheld of the convicted is forfeited.
    appeal_s: Natural = 72 * 3600
    #: Wallets of one kind of device that must fail together before the device is at fault.
    class_wallets: Positive = 3
    #: New wallets a day on the whole grid: what your references can check at once …
    newcomers_per_day: Positive = 500
    #: … and in probation at one network address (an IPv6 /64): a farm of wallets has thousands;
    newcomers_per_address: Positive = 3
    #: in one IPv6 /56, which providers give a customer: some homes have two networks;
    newcomers_per_site: Positive = 6
    #: and of a day's places for one IPv4 /24 or IPv6 /48, in hundredths of a percent: whoever has
    #: such a network has thousands of addresses, and others should find a place too. Never less
    #: than one address or site may have.
    newcomers_network_bps: Annotated[int, Meta(ge=1, le=10_000)] = 500
    #: An answer that no reference could run for so long counts as not checked.
    check_within_s: Positive = 72 * 3600
    #: A second reference is of another kind of device than the first; where none takes the
    #: job in this time, any other look will do.
    other_kind_s: Natural = 600


class Chain(Section, frozen=True):
    #: JSON-RPC of a Solana cluster, or of ``tabgrid localnet``; several in a list, or with
    #: commas between them. "" switches claims off. Of three, one may lie, lag or be down.
    rpc: str | tuple[str, ...] = ""
    cluster: Literal["mainnet", "testnet", "devnet", "localnet"] = "localnet"
    mint: str = ""
    treasury: str = ""
    #: Keypair file of the treasury's bounded delegate; "" is DATA/keys/hot.json.
    hot_keypair: str = ""
    #: Instead of a file: the keypair itself, in base58 or as 64 numbers. Meant for
    #: TABGRID_CHAIN_HOT_SECRET in the environment.
    hot_secret: Secret = Secret()
    #: Instead of both: a command that signs for ``hot_address``. It gets a message's bytes on
    #: standard input and prints the signature in base58.
    hot_signer: str = ""
    hot_address: str = ""
    #: Seconds that it may take: a person waits, and a blockhash lives for about 60.
    hot_signer_s: Positive = 10
    symbol: str = "TGT"
    decimals: Annotated[int, Meta(ge=0, le=9)] = 6
    #: Base units; below it the network's fee would eat the claim.
    claim_minimum: Positive = 1_000
    #: Micro-lamports per compute unit.
    compute_unit_price: Natural = 1_000
    #: Base units that may be co-signed in any hour and any day; more trips the breaker, which
    #: a person resets. 0 is no cap. It bounds what a bug or a thief can take while nobody looks.
    cap_hour: Natural = 2_000_000_000
    cap_day: Natural = 10_000_000_000
    #: Claims pause while the treasury could pay less than this many base units, so that those
    #: under way still are paid and a person has the time to approve more.
    pause_below: Natural = 10_000_000
    #: Seconds for which a payment stays marked on chain after it is final; then the mark's rent
    #: goes back to the wallet. A database restored from a backup younger than this cannot pay
    #: again even if the RPC has forgotten everything; keep no backups much older.
    marker_keep_s: Natural = 7 * 24 * 3600
    #: Seconds between two roots of receipts on chain, each for the fee of one signature. What is
    #: not in a root yet, the operator could still change.
    epoch_s: Positive = 24 * 3600
    #: Seconds for which the grid's signed statement is given again: each reads every balance.
    statement_s: Natural = 5
    #: Payouts that the grid pushes to wallets without SOL; all in base units. The smallest; 0
    #: is none at all, because what the fee must be depends on what the token is worth.
    push_minimum: Natural = 0
    #: Kept of each, for the network's fee (0.00001 SOL) and what goes wrong …
    push_fee: Natural = 0
    #: … and besides where the wallet's token account has to be made: its rent of 0.00204 SOL is
    #: the wallet's from then on, so less than that is worth is a gift to whoever asks for it.
    push_account_fee: Natural = 0
    #: Seconds that a payout waits for others to share its transaction.
    push_wait_s: Natural = 10
    #: Local chain only: lamports given to a wallet that signs in, so that it can pay fees.
    faucet: Natural = 0

    def __post_init__(self) -> None:
        fees = self.push_fee + self.push_account_fee
        if self.push_minimum and self.push_minimum <= fees:
            raise ValueError(
                f"push_minimum ({self.push_minimum}) must be more than push_fee and "
                f"push_account_fee together ({fees}): a wallet must get something."
            )

    @property
    def hot_given(self) -> bool:
        """Whether these settings say where the hot key is."""
        return bool(self.hot_signer or self.hot_secret or self.hot_keypair)


class Sessions(Section, frozen=True):
    #: A tab that earns for a week should not sign in again; a stolen one should not last.
    days: Positive = 7
    #: Phantom refuses sign-ins issued more than 10 minutes ago.
    challenge_s: Positive = 300


class Blobs(Section, frozen=True):
    """Where outputs over 64 KiB lie, and how they come and go."""

    #: "" is the folder DATA/blobs; "s3://bucket/prefix" is an S3-compatible store.
    url: str = ""
    #: Of a store that is not Amazon's own: "https://s3.example". "http://" is for tests and
    #: for stores on the same machine.
    endpoint: str = ""
    region: str = ""
    #: "" leaves both to AWS's own variables (AWS_ACCESS_KEY_ID, …) or the machine's role.
    access_key: str = ""
    secret_key: str = ""
    #: Hex of 32 bytes, signs upload and picture addresses. "" is made once, in
    #: DATA/keys/addresses.key; set it where several machines take turns.
    secret: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    #: More than any connector returns (see ``MAX_BLOB``); lower it where the disk is small.
    max_bytes: Positive = 16 * 1024 * 1024
    #: 16 MiB take this long at 2.2 Mbit/s; who is slower holds a file and a task for nothing.
    upload_s: Positive = 60
    #: At once: each costs a file, a task and up to 1 MiB of memory.
    uploads: Positive = 256
    #: How long an address of a picture works, as OpenAI's do.
    link_s: Positive = 3_600
    #: An upload whose result never came. Longer than any lease and any wait to book one.
    orphan_s: Positive = 3_600


class GridSettings(Section, frozen=True):
    title: str
    description: str
    models: Annotated[tuple[str, ...], Meta(min_length=1)]
    #: Base units per unit of the connector's usage (token, picture step, …).
    price_per_unit: Natural
    #: The operator's share in hundredths of a percent.
    fee_bps: Annotated[int, Meta(ge=0, le=10_000)] = 500
    #: What a job costs more whose answer is held until a reference agrees, in hundredths of a
    #: percent of its price. Twice the price: references compute the answer again, in one go or
    #: step by step, and what they compute for users in vain is in it too.
    check_bps: Annotated[int, Meta(ge=0, le=100_000)] = 10_000
    #: Seconds that earnings are withheld at least; of strangers also until enough further
    #: answers came (see ``Trust``).
    release_s: Natural = 72 * 3600
    #: Seconds after its end for which a job's input and output are kept; its row, receipt and
    #: money stay. Users fetch answers within hours; a week covers a holiday, and what is not
    #: kept cannot leak.
    keep_s: Positive = 7 * 24 * 3600
    #: Base units given to a new key; 0 on a grid that charges real money.
    demo_credit: Natural = 0


class Settings(Section, frozen=True):
    server: Server = Server()
    limits: Limits = Limits()
    scheduling: Scheduling = Scheduling()
    trust: Trust = Trust()
    chain: Chain = Chain()
    sessions: Sessions = Sessions()
    blobs: Blobs = Blobs()
    grids: dict[str, GridSettings] = {}

    @property
    def url(self) -> str:
        return self.server.public_url.rstrip("/") or f"http://{self.server.host}:{self.server.port}"

    @property
    def data(self) -> Path:
        return Path(self.server.data)

    @property
    def library(self) -> Path | None:
        """None is the library of this checkout."""
        return Path(self.server.library) if self.server.library else None

    @property
    def database(self) -> str:
        return self.server.database or f"sqlite:///{self.data / 'tabgrid.db'}"

    @property
    def demo_credit(self) -> int:
        return sum(grid.demo_credit for grid in self.grids.values())
