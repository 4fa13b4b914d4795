"""An answer is shared by those who asked before its question went out, and by nobody else."""

from __future__ import annotations

import asyncio

import pytest

from tabgrid_server.chain.sharing import Recent, Shared


class Asked:
    """Counts the questions; each answer is its number, once the gate is open."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> int:
        self.count += 1
        number = self.count
        await self.gate.wait()
        if number == 3:
            raise ValueError("the third")
        return number


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_comes_while_one_is_under_way_shares_the_next() -> None:
    asked = Asked()
    shared = Shared(asked)
    first = [asyncio.create_task(shared()) for _ in range(3)]
    await turns()
    second = [asyncio.create_task(shared()) for _ in range(3)]
    await turns()
    assert asked.count == 1, "the second question waits for the first"
    asked.gate.set()
    assert await asyncio.gather(*first) == [1, 1, 1]
    assert await asyncio.gather(*second) == [2, 2, 2]


async def test_who_gives_up_takes_the_answer_from_nobody() -> None:
    asked = Asked()
    shared = Shared(asked)
    gone, stays = asyncio.create_task(shared()), asyncio.create_task(shared())
    await turns()
    gone.cancel()
    asked.gate.set()
    assert await stays == 1


async def test_a_failure_is_everybodys_and_the_next_is_asked_anew() -> None:
    asked = Asked()
    asked.gate.set()
    shared = Shared(asked)
    assert (await shared(), await shared()) == (1, 2)
    told = await asyncio.gather(shared(), shared(), return_exceptions=True)
    assert [str(each) for each in told] == ["the third", "the third"]
    assert await shared() == 4
    with pytest.raises(ValueError, match="nothing"):
        await Shared(_fails)()


async def test_a_recent_answer_is_given_again_until_it_is_old() -> None:
    asked, now = Asked(), [100.0]
    asked.gate.set()
    recent = Recent(asked, 0.5, lambda: now[0])
    assert [await recent() for _ in range(3)] == [1, 1, 1]
    now[0] += 0.5
    assert [await recent(), await recent()] == [2, 2]
    now[0] -= 10  # a clock that was set back does not make it young for long
    with pytest.raises(ValueError, match="the third"):
        await recent()
    assert await recent() == 4, "a failure is not remembered"


async def _fails() -> int:
    raise ValueError("nothing")
