"""What a treasury is made of on a cluster: a mint, a multisig, a token account. Pure.

Instructions only; whoever pays for them signs and sends. Each list fits one transaction, so
that all of it happens or none.
"""

from __future__ import annotations

from collections.abc import Sequence

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from spl.token.constants import MINT_LEN, MULTISIG_LEN
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    get_associated_token_address,
    initialize_mint2,
    initialize_multisig2,
    mint_to_checked,
    set_authority,
)
from spl.token.models import (
    AuthorityType,
    InitializeMint2Params,
    InitializeMultisig2Params,
    MintToCheckedParams,
    SetAuthorityParams,
)

#: What the token programs take.
MEMBERS = 11


def mint(
    program: Pubkey,
    address: Pubkey,
    payer: Pubkey,
    owner: Pubkey,
    *,
    decimals: int,
    supply: int,
    rent: int,
    authority: Pubkey | None,
) -> list[Instruction]:
    """A new mint, whose whole ``supply`` (base units) goes to ``owner``'s token account.

    ``authority`` may make more later; None: nobody ever. Nobody can freeze accounts of it.
    ``rent``: lamports of ``MINT_LEN`` bytes.
    """
    account = get_associated_token_address(owner, address, program)
    return [
        _created(payer, address, MINT_LEN, rent, program),
        initialize_mint2(
            InitializeMint2Params(
                decimals=decimals, program_id=program, mint=address, mint_authority=payer
            )
        ),
        token_account(program, address, payer, owner),
        mint_to_checked(
            MintToCheckedParams(
                program_id=program,
                mint=address,
                dest=account,
                mint_authority=payer,
                amount=supply,
                decimals=decimals,
                signers=[],
            )
        ),
        set_authority(
            SetAuthorityParams(
                program_id=program,
                account=address,
                authority=AuthorityType.MINT_TOKENS,
                current_authority=payer,
                signers=[],
                new_authority=authority,
            )
        ),
    ]


def multisig(
    program: Pubkey, address: Pubkey, payer: Pubkey, members: Sequence[Pubkey], of: int, rent: int
) -> list[Instruction]:
    """An owner of accounts for which ``of`` of ``members`` must sign.

    ``rent``: lamports of ``MULTISIG_LEN`` bytes. It is one for the tokens of ``program`` only.
    """
    if not 1 <= of <= len(set(members)) == len(members) <= MEMBERS:
        raise ValueError(f"a multisig has 1 to {MEMBERS} different members, and as many signers")
    return [
        _created(payer, address, MULTISIG_LEN, rent, program),
        initialize_multisig2(
            InitializeMultisig2Params(
                program_id=program, multisig=address, m=of, signers=list(members)
            )
        ),
    ]


def token_account(program: Pubkey, mint: Pubkey, payer: Pubkey, owner: Pubkey) -> Instruction:
    """``owner``'s own account for tokens of ``mint``; nothing happens where there is one."""
    return create_idempotent_associated_token_account(
        payer=payer, owner=owner, mint=mint, token_program_id=program
    )


def _created(payer: Pubkey, address: Pubkey, space: int, rent: int, program: Pubkey) -> Instruction:
    return create_account(
        CreateAccountParams(
            from_pubkey=payer, to_pubkey=address, lamports=rent, space=space, owner=program
        )
    )
