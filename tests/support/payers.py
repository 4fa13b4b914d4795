"""People who pay in: real token accounts, real transfers, and what they get wrong."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction
from spl.token.constants import MINT_LEN, TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    get_associated_token_address,
    initialize_mint2,
    mint_to_checked,
    transfer_checked,
)
from spl.token.models import InitializeMint2Params, MintToCheckedParams, TransferCheckedParams

from tabgrid_server.chain.keys import load
from tabgrid_server.chain.rpc import Rpc

SOL = 10**9
#: A mint of Token-2022 with a transfer fee, and its accounts' size, by the program's layout.
FEE_MINT_LEN = 165 + 1 + 4 + 108


class Bank:
    """Who may issue a token, and gives it to people."""

    def __init__(
        self, rpc: Rpc, mint: Keypair | Pubkey, authority: Keypair, program: Pubkey, decimals: int
    ) -> None:
        self.rpc = rpc
        self.mint = mint.pubkey() if isinstance(mint, Keypair) else mint
        self.authority = authority
        self.program = program
        self.decimals = decimals

    @classmethod
    def of_treasury(cls, rpc: Rpc, data: Path) -> Bank:
        """Of the token that the grid takes, on a local chain."""
        keys = data / "keys"
        mint = load(keys / "mint.json").pubkey()
        return cls(rpc, mint, load(keys / "cold.json"), TOKEN_PROGRAM_ID, 6)

    @classmethod
    async def found(cls, rpc: Rpc, program: Pubkey = TOKEN_PROGRAM_ID, fee_bps: int = 0) -> Bank:
        """A token of its own; ``fee_bps`` only with Token-2022."""
        authority, mint = Keypair(), Keypair()
        await rpc.airdrop(authority.pubkey(), 10 * SOL)
        space = FEE_MINT_LEN if fee_bps else MINT_LEN
        made = create_account(
            CreateAccountParams(
                from_pubkey=authority.pubkey(),
                to_pubkey=mint.pubkey(),
                lamports=await rpc.rent(space),
                space=space,
                owner=program,
            )
        )
        begun = initialize_mint2(
            InitializeMint2Params(
                decimals=6,
                program_id=program,
                mint=mint.pubkey(),
                mint_authority=authority.pubkey(),
            )
        )
        taxed = [_with_fee(mint.pubkey(), fee_bps)] if fee_bps else []
        await send(rpc, [made, *taxed, begun], [authority, mint])
        return cls(rpc, mint, authority, program, 6)

    def home(self, owner: Pubkey) -> Pubkey:
        return get_associated_token_address(owner, self.mint, self.program)

    def open(self, owner: Pubkey, payer: Pubkey) -> Instruction:
        return create_idempotent_associated_token_account(
            payer=payer, owner=owner, mint=self.mint, token_program_id=self.program
        )

    async def give(
        self,
        owner: Pubkey,
        amount: int,
        home: Pubkey | None = None,
        references: Sequence[str] = (),
    ) -> str:
        """Issue ``amount`` base units to ``owner``; to another account of theirs: ``home``."""
        issued = mint_to_checked(
            MintToCheckedParams(
                program_id=self.program,
                mint=self.mint,
                dest=home or self.home(owner),
                mint_authority=self.authority.pubkey(),
                amount=amount,
                decimals=self.decimals,
                signers=[],
            )
        )
        opened = [] if home else [self.open(owner, self.authority.pubkey())]
        return await send(self.rpc, [*opened, named(issued, references)], [self.authority])

    async def customer(self, amount: int) -> Keypair:
        """A wallet with SOL and ``amount`` base units."""
        wallet = Keypair()
        await self.rpc.airdrop(wallet.pubkey(), SOL)
        await self.give(wallet.pubkey(), amount)
        return wallet

    def transfer(
        self, owner: Keypair, to: Pubkey, amount: int, references: Sequence[str] = ()
    ) -> Instruction:
        """To the token account ``to``; references as Solana Pay has them."""
        moved = transfer_checked(
            TransferCheckedParams(
                program_id=self.program,
                source=self.home(owner.pubkey()),
                mint=self.mint,
                dest=to,
                owner=owner.pubkey(),
                amount=amount,
                decimals=self.decimals,
                signers=[],
            )
        )
        return named(moved, references)

    async def pay(
        self, owner: Keypair, to: Pubkey, amount: int, references: Sequence[str] = ()
    ) -> str:
        return await send(self.rpc, [self.transfer(owner, to, amount, references)], [owner])


def named(instruction: Instruction, references: Sequence[str]) -> Instruction:
    """The same, naming these accounts too."""
    extra = [AccountMeta(Pubkey.from_string(each), False, False) for each in references]
    return Instruction(instruction.program_id, instruction.data, [*instruction.accounts, *extra])


async def send(rpc: Rpc, steps: Sequence[Instruction], signers: Sequence[Keypair]) -> str:
    """Its id; whether it worked is for the chain to tell."""
    blockhash = Hash.from_string((await rpc.blockhash()).hash)
    message = MessageV0.try_compile(signers[0].pubkey(), list(steps), [], blockhash)
    return await rpc.send(bytes(VersionedTransaction(message, list(signers))))


def _with_fee(mint: Pubkey, fee_bps: int) -> Instruction:
    """Token-2022's InitializeTransferFeeConfig, without authorities, without a cap."""
    data = struct.pack("<BBBBHQ", 26, 0, 0, 0, fee_bps, 2**64 - 1)
    return Instruction(TOKEN_2022_PROGRAM_ID, data, [AccountMeta(mint, False, True)])
