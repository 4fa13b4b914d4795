from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tabgrid_server.scheduler.queue import FairQueue


def drain(queue: FairQueue) -> list[str]:
    return list(iter(queue.pop, None))


def test_one_user_is_served_in_order() -> None:
    queue = FairQueue()
    for job in "abc":
        queue.push("ann", job, 1)
    assert drain(queue) == ["a", "b", "c"]


def test_shares_are_by_units_not_by_jobs() -> None:
    queue = FairQueue()
    for number in range(4):
        queue.push("big", f"big{number}", 100)
    for number in range(40):
        queue.push("small", f"small{number}", 10)
    first = drain(queue)[:22]
    assert sum(job.startswith("big") for job in first) in (2, 3)


def test_what_was_served_before_goes_first() -> None:
    queue = FairQueue()
    queue.push("ann", "a", 1)
    queue.push_front("ann", "again")
    assert drain(queue) == ["again", "a"]


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 99), st.booleans())))
def test_every_job_comes_out_once(jobs: list[tuple[str, int, bool]]) -> None:
    queue = FairQueue()
    popped = []
    for number, (owner, units, pop) in enumerate(jobs):
        queue.push(owner, str(number), units)
        if pop:
            popped.append(queue.pop())
    assert sorted(int(job or -1) for job in popped + drain(queue)) == list(range(len(jobs)))
