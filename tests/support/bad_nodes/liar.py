"""An honest computation with a cheat around it, as a connector that a node cannot tell apart."""

from __future__ import annotations

from typing import Any

import msgspec

from tabgrid_models.connectors.base import AnyConnector, Traced
from tabgrid_models.manifest import Manifest
from tabgrid_models.runtime import Emit, Runtime
from tabgrid_server.calibrate.forgeries import Case, stretched

from .cheats import Cheat
from .workshop import Workshop, quiet


class Liar:
    """In all but its answers the connector that it wraps.

    It knows the golden answers from the manifest, as everybody does, and gives those right.
    """

    def __init__(self, honest: AnyConnector, cheat: Cheat, wallet: str, workshop: Workshop) -> None:
        self.lies = 0
        self._honest = honest
        self._cheat = cheat
        self._wallet = wallet
        self._workshop = workshop
        self._jobs = 0
        #: Its last right answer to another question, to be copied.
        self._other: Any = None
        #: What lay between the steps to the last answer that it computed: it shows these.
        self.states: tuple[bytes, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    async def run(self, input: Any, manifest: Manifest, runtime: Runtime, emit: Emit) -> Any:
        right = await self._computed(input, manifest, runtime, emit)
        other, self._other = self._other, right
        if self._is_golden(input, manifest):
            return right
        self._jobs += 1
        if self._jobs <= self._cheat.after or not self._cheat.picks(input):
            return right
        forged = await self._forged(input, manifest, runtime, right, other or right)
        if forged is None:
            return right
        self.lies += 1
        return forged

    async def run_traced(
        self, input: Any, manifest: Manifest, runtime: Runtime, emit: Emit
    ) -> tuple[Any, bytes]:
        """It commits to latents of the very picture that it returns, where it drew one; of too
        few it shows some twice."""
        answer = await self.run(input, manifest, runtime, emit)
        count = len(self._honest.kept(input, manifest))
        return answer, b"".join(stretched(self.states, count))

    async def _computed(self, input: Any, manifest: Manifest, runtime: Runtime, emit: Emit) -> Any:
        if not isinstance(self._honest, Traced):
            return await self._honest.run(input, manifest, runtime, emit)
        output, content = await self._honest.run_traced(input, manifest, runtime, emit)
        self.states = self._honest.split_trace(input, manifest, content)
        return output

    async def _forged(
        self, input: Any, manifest: Manifest, runtime: Runtime, right: Any, other: Any
    ) -> Any:
        """None where this job leaves nothing to cheat at in this way."""
        cheat = self._cheat
        if cheat.change is not None:
            runtime = await self._workshop.tampered(manifest.id, cheat.change)

        async def answer(asked: Any) -> Any:
            return await self._computed(asked, manifest, runtime, quiet)

        random = cheat.random(self._wallet, input)
        return await cheat.forge(Case(input, right, other, answer, manifest, random))

    def _is_golden(self, input: Any, manifest: Manifest) -> bool:
        asked = msgspec.to_builtins(input)
        known = (msgspec.convert(golden.input, self._honest.Input) for golden in manifest.golden)
        return any(msgspec.to_builtins(one) == asked for one in known)
