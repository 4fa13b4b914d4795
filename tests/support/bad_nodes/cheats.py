"""Ways to cheat at an answer, by the algorithm they are for, with names that a report can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, NamedTuple

import msgspec

from tabgrid_server.calibrate import altered
from tabgrid_server.calibrate.forgeries import FORGERIES, Case, Forge


class Cheat(NamedTuple):
    """What somebody returns in place of the answer, and when."""

    name: str
    forge: Forge
    #: Another model in the same files does the computing.
    change: altered.Change | None = None
    #: Right answers before the first wrong one: a sleeper passes every test of strangers.
    after: int = 0
    #: Of a ring: its members return the same wrong answer to the same question.
    ring: str = ""
    #: Only jobs that it finds worth the risk.
    picks: Callable[[Any], bool] = lambda asked: True

    def random(self, wallet: str, input: Any) -> Random:
        """What chance decides is the member's own, or the ring's."""
        question = msgspec.msgpack.encode(input).hex() if self.ring else ""
        return Random(f"{self.ring or wallet} {question}")


async def _as_it_is(case: Case) -> Any:
    """The model itself is the cheat."""
    return await case.answer(case.input)


async def _refuses(case: Case) -> Any:
    raise RuntimeError("There is something wrong with this job.")


def _again(forge: Forge, times: int) -> Forge:
    async def repeated(case: Case) -> Any:
        for _ in range(times):
            case = case._replace(right=await forge(case))
        return case.right

    return repeated


#: Those that another model makes, and what tampers with the model.
MODELS: Mapping[str, altered.Change] = {
    "another model": altered.reshuffle,
    "lower precision": altered.fewer_bits,
}
#: Forgeries by algorithm, each standing for the others of its kind.
FORGED: Mapping[str, Mapping[str, Forge]] = {
    "embeddings": {
        "shortened input": FORGERIES["embeddings"]["half of each text"],
        "copied answer": FORGERIES["embeddings"]["another job's answer"],
        "random unit vectors": FORGERIES["embeddings"]["random unit vectors"],
        "right but for a little": FORGERIES["embeddings"]["right but for 1 %"],
    },
    "text-to-image": {
        "fewer steps": FORGERIES["text-to-image"]["half of the steps"],
        "another seed": FORGERIES["text-to-image"]["another seed"],
        "copied answer": FORGERIES["text-to-image"]["another job's picture"],
        # A model without a calibration has to bear what any device might do: 4.5 levels.
        "right but for a little": _again(FORGERIES["text-to-image"]["right but for 5 levels"], 3),
    },
}


def of(algorithm: str) -> tuple[Cheat, ...]:
    """Every way to cheat at this algorithm, one member each."""
    models = (Cheat(name, _as_it_is, change) for name, change in MODELS.items())
    forged = (Cheat(name, forge) for name, forge in FORGED[algorithm].items())
    return (*models, *forged)


def ring(members: int, **when: Any) -> tuple[Cheat, ...]:
    """Colluders: whoever of them is asked, the wrong answer is the same."""
    forge, name = FORGED["embeddings"]["random unit vectors"], f"ring of {members}"
    return tuple(Cheat(f"{name}, {n}", forge, ring=name, **when) for n in range(members))


def refuser(dear: Callable[[Any], bool]) -> Cheat:
    """Hands back what costs it much, and keeps what costs it little."""
    return Cheat("refuses what is dear", _refuses, picks=dear)
