"""What a person who claims may be told instead of being paid. Nothing is lost in any of them."""

from __future__ import annotations

from ..errors import GridError


class ClaimRefused(GridError):
    """The claim cannot be made, or not so; nothing was moved."""

    status, type, code = 409, "invalid_request_error", "claim_refused"


class ClaimUnknown(GridError):
    status, type, code = 404, "invalid_request_error", "not_found"


class DepositRefused(GridError):
    """It cannot be paid so; nothing was sent."""

    status, type, code = 409, "invalid_request_error", "deposit_refused"


class NoDeposits(GridError):
    """This grid has no chain, so there is nothing to pay into. Waiting does not help."""

    status, type, code = 404, "invalid_request_error", "no_chain"


class DepositUnknown(GridError):
    status, type, code = 404, "invalid_request_error", "not_found"


class ClaimsPaused(GridError):
    """No claim is paid until a person has looked; the text says why."""

    status, type, code = 503, "server_error", "claims_paused"
    retry_after = 60


class ChainUnavailable(GridError):
    """No RPC answers. What was reserved stays so; what was sent is followed up."""

    status, type, code = 503, "server_error", "chain_unavailable"
    retry_after = 5

    text = "The chain cannot be reached right now. Nothing is lost; try again in a moment."

    def __init__(self) -> None:
        super().__init__(self.text)


class SignerUnavailable(ChainUnavailable):
    """The hot key cannot sign. ``why`` is for the operator; people are told to wait."""

    code = "signer_unavailable"
    text = "The grid cannot sign payments right now. Nothing is lost; try again in a moment."

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why
