"""`tabgrid treasury` against a real chain: a cold key, and an SPL multisig of two out of three."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from spl.token.constants import MULTISIG_LEN, TOKEN_PROGRAM_ID
from spl.token.instructions import initialize_multisig2, set_authority
from spl.token.models import AuthorityType, InitializeMultisig2Params, SetAuthorityParams

from tabgrid_server.chain.keys import load, load_or_create
from tabgrid_server.chain.rpc import Rpc
from tabgrid_server.chain.treasury import Treasury, ensure_local_treasury, run
from tabgrid_server.cli.treasury import treasury
from tests.support.programs import Programs

UNIT = 10**6


class Place:
    """A chain with a treasury, and the command beside it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.treasury: Treasury = self.on_chain(lambda rpc: ensure_local_treasury(rpc, folder))
        self.cold = folder / "keys" / "cold.json"

    def on_chain(self, work: Any) -> Any:
        async def connected() -> Any:
            async with Rpc(self.url) as rpc:
                return await work(rpc)

        return asyncio.run(connected())

    def tell(self, *arguments: object) -> Result:
        where = ("--rpc", self.url, "--data", str(self.folder))
        return CliRunner().invoke(treasury, [*where, *map(str, arguments)])

    def status(self) -> dict[str, Any]:
        told = self.tell("status", "--json")
        assert told.exit_code == 0, told.output
        found: dict[str, Any] = json.loads(told.output)
        return found


@pytest.fixture
def place(programs: Programs, tmp_path: Path) -> Place:
    chain = programs.tabgrid("chain", "localnet", "--port", "0", "--slot-ms", "50")
    return Place(chain.ready()["url"], tmp_path / "grid")


def test_status_says_what_is_left_and_what_bounds_it(place: Place) -> None:
    told = place.tell("status").output
    assert "allowance    10,000.000000 TGT  (10,000,000,000)" in told
    assert "last hour    0.000000 TGT  (0), cap 2,000.000000 TGT  (2,000,000,000)" in told
    assert told.endswith("claims       are paid\n")
    shown = place.status()
    assert shown["owner"] == str(load(place.cold).pubkey())
    assert (shown["owed"], shown["under_way"], shown["stopped_at"]) == (0, 0, None)


def test_the_owner_approves_and_revokes(place: Place) -> None:
    assert place.tell("approve", 7 * UNIT, "--owner-keypair", place.cold).exit_code == 0
    assert place.status()["allowance"] == 7 * UNIT, "replaced, not added to"
    assert "less than 10,000,000 are left" in place.tell("status").output
    assert place.tell("revoke", "--owner-keypair", place.cold).exit_code == 0
    assert place.status()["allowance"] == 0
    assert "paused: the hot key is not approved" in place.tell("status").output
    place.on_chain(lambda rpc: ensure_local_treasury(rpc, place.folder))
    assert place.status()["allowance"] == 0, "a start does not undo it"


def test_a_file_is_signed_without_a_network(place: Place, tmp_path: Path) -> None:
    paper = tmp_path / "approve.json"
    told = place.tell("approve", 9 * UNIT, "--out", paper)
    assert str(load(place.cold).pubkey()) in told.output
    assert "9,000,000 base units" in paper.read_text()
    early = place.tell("send", paper)
    assert early.exit_code == 1
    assert "To be signed by" in early.output
    wrong = tmp_path / "wrong.json"
    load_or_create(wrong)
    refused = CliRunner().invoke(treasury, ["sign", str(paper), "--keypair", str(wrong), "--yes"])
    assert refused.exit_code == 1
    assert "need not sign this" in refused.output
    # No --rpc, no --data: this runs where there is neither.
    offline = ["sign", str(paper), "--keypair", str(place.cold), "--yes"]
    signed = CliRunner().invoke(treasury, offline)
    assert signed.exit_code == 0, signed.output
    assert place.tell("send", paper).exit_code == 0
    assert place.status()["allowance"] == 9 * UNIT


def test_two_of_three_own_the_treasury(place: Place, tmp_path: Path) -> None:
    members = [tmp_path / f"member-{n}.json" for n in range(3)]
    keys = [load_or_create(each).pubkey() for each in members]
    multisig = place.on_chain(lambda rpc: _hand_over(rpc, place, keys))
    assert place.status()["owner"] == str(multisig)

    alone = place.tell("approve", 8 * UNIT, "--owner-keypair", place.cold)
    assert alone.exit_code == 1, "the former owner is none any more"
    paper = tmp_path / "approve.json"
    cold = load(place.cold).pubkey()
    told = place.tell(
        "approve", 8 * UNIT, "--out", paper, "--fee-payer", cold,
        "--signer", keys[0], "--signer", keys[2],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    for path in (members[0], place.cold, members[2]):
        assert place.tell("sign", paper, "--keypair", path, "--yes").exit_code == 0
    assert place.tell("send", paper).exit_code == 0
    assert place.status()["allowance"] == 8 * UNIT


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"does":"x","transaction":"AAAA"}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    paper = tmp_path / "paper.json"
    paper.write_text(text)
    told = CliRunner().invoke(treasury, ["sign", str(paper), "--keypair", str(paper), "--yes"])
    assert told.exit_code == 1
    assert told.output.startswith("Error: ")


def test_the_breaker_by_hand(place: Place) -> None:
    assert place.tell("reset", "--note", "nothing").exit_code == 1
    assert place.tell("stop", "--reason", "a key is lost").exit_code == 0
    assert "paused: the breaker tripped at" in place.tell("status").output
    assert place.status()["stopped_why"] == "a key is lost"
    assert place.tell("reset", "--note", "found it").exit_code == 0
    assert place.status()["stopped_at"] is None


def test_what_is_missing_is_named(place: Place, tmp_path: Path) -> None:
    neither = place.tell("approve", UNIT)
    assert neither.exit_code == 2
    assert "--owner-keypair" in neither.output
    nowhere = CliRunner().invoke(treasury, ["--data", str(tmp_path), "status"])
    assert "Give --rpc URL" in nowhere.output
    empty = CliRunner().invoke(
        treasury, ["--rpc", place.url, "--data", str(tmp_path / "other"), "status"]
    )
    assert empty.exit_code == 1
    assert "There is no keypair file" in empty.output


async def _hand_over(rpc: Rpc, place: Place, members: list[Pubkey]) -> Pubkey:
    """Give the treasury to two of ``members``."""
    cold, multisig = load(place.cold), Keypair()
    rent = await rpc.rent(MULTISIG_LEN)
    made = create_account(
        CreateAccountParams(
            from_pubkey=cold.pubkey(),
            to_pubkey=multisig.pubkey(),
            lamports=rent,
            space=MULTISIG_LEN,
            owner=TOKEN_PROGRAM_ID,
        )
    )
    init = initialize_multisig2(
        InitializeMultisig2Params(
            program_id=TOKEN_PROGRAM_ID, multisig=multisig.pubkey(), m=2, signers=members
        )
    )
    give = set_authority(
        SetAuthorityParams(
            program_id=TOKEN_PROGRAM_ID,
            account=place.treasury.account,
            authority=AuthorityType.ACCOUNT_OWNER,
            current_authority=cold.pubkey(),
            signers=[],
            new_authority=multisig.pubkey(),
        )
    )
    await run(rpc, [made, init, give], [cold, multisig])
    return multisig.pubkey()
