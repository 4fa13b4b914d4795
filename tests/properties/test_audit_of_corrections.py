"""What epochs say of an honest chain of corrections holds; whatever is changed of it is found."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from tabgrid_server.proofs.audit.corrected import CLOCKS_S, as_published, in_time
from tabgrid_server.proofs.corrections import GENESIS, Correction, Head, link, read, text_of

DAY = 86_400.0


class Chain:
    """Corrections, ``made[n]`` of them on day ``n``; each day has an epoch."""

    def __init__(self, made: list[int]) -> None:
        self.texts: list[bytes] = []
        self.heads: dict[int, Head] = {}
        self.times: dict[int, float | None] = {}
        hash = GENESIS
        for day, number in enumerate(made, 1):
            for _ in range(number):
                text = text_of(correction(len(self.texts) + 1, day * DAY))
                self.texts.append(text)
                hash = link(hash, text)
            self.heads[day] = Head(len(self.texts), hash)
            self.times[day] = (day + 1) * DAY

    def broken(self) -> list[str]:
        published = as_published(self.heads, self.texts)
        return [*published, *in_time(self.heads, self.times, self.texts)]

    def rehash(self, number: int, **lie: object) -> None:
        """Change one; whoever has the texts sees a chain that holds."""
        told = read(self.texts[number - 1])
        assert told is not None
        self.texts[number - 1] = text_of(replace(told, **lie))


def correction(number: int, at: float) -> Correction:
    return Correction(
        number=number, kind="fine", ref=f"job_{number}", wallet="W", token="TGT", amount=5,
        reason="Wrong.", at=at,
    )  # fmt: skip


chains = st.lists(st.integers(0, 4), min_size=1, max_size=8).map(Chain)


@given(chains)
def test_an_honest_chain_holds(chain: Chain) -> None:
    assert chain.broken() == []


@given(chains, st.data())
def test_one_that_was_rewritten_is_found(chain: Chain, data: st.DataObject) -> None:
    """In every epoch from its own on."""
    assume(chain.texts)
    number = data.draw(st.integers(1, len(chain.texts)))
    chain.rehash(number, reason="Another.")
    told = [day for day, head in chain.heads.items() if head.count >= number]
    assert len(chain.broken()) == len(told) > 0


@given(chains, st.data())
def test_one_that_is_not_told_is_found(chain: Chain, data: st.DataObject) -> None:
    assume(chain.texts)
    del chain.texts[data.draw(st.integers(0, len(chain.texts) - 1))]
    assert chain.broken()


@given(chains, st.data())
def test_one_that_was_slipped_in_is_found(chain: Chain, data: st.DataObject) -> None:
    """Anywhere but at the end, as if it were of today; and at the end, if it says it is old."""
    last = max(chain.heads)
    place = data.draw(st.integers(0, len(chain.texts)))
    end, at = place == len(chain.texts), data.draw(st.floats(0, (last + 2) * DAY))
    chain.texts.insert(place, text_of(correction(place + 1, at)))
    found = chain.broken()
    if not end:
        assert found
    elif last > 1:
        assert bool(found) == (at < chain.times[last - 1] - CLOCKS_S)  # type: ignore[operator]


@given(chains)
def test_a_head_that_goes_back_is_found(chain: Chain) -> None:
    """An epoch that leaves out corrections which one before it had."""
    last = max(chain.heads)
    assume(last > 1 and chain.heads[last - 1].count)
    chain.heads[last] = Head()
    assert any("one before had" in each for each in chain.broken())


@given(chains)
def test_an_epoch_of_before_says_nothing_of_corrections(chain: Chain) -> None:
    """It has no leaf of them; where the chain of blocks tells no time, nothing is late."""
    del chain.heads[min(chain.heads)]
    chain.times = dict.fromkeys(chain.times)
    assert chain.broken() == []
