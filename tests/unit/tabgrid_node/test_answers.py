from __future__ import annotations

from tabgrid_node.answers import MOST, Answers
from tabgrid_wire.messages import Failed


def failed(number: int, job: str = "job") -> Failed:
    return Failed(f"lease-{number}", job, "internal", "no")


def leases(answers: Answers, now: float = 0) -> list[str]:
    return [answer.lease for answer in answers.valid(now)]


def test_an_answer_is_said_again_until_it_is_void_settled_or_refused() -> None:
    answers = Answers()
    for number, job in enumerate(("first", "second", "second", "third")):
        answers.keep(failed(number, job), void_at=10 * (number + 1))
    assert leases(answers, now=9) == ["lease-0", "lease-1", "lease-2", "lease-3"]
    assert leases(answers, now=10) == ["lease-1", "lease-2", "lease-3"]
    answers.settled("second")
    assert leases(answers) == ["lease-3"], "what was void before stays forgotten"
    answers.refused("lease-3")
    answers.refused("lease-3")
    assert leases(answers) == []


def test_the_oldest_make_room() -> None:
    answers = Answers()
    for number in range(MOST + 2):
        answers.keep(failed(number), void_at=1)
    assert leases(answers) == [f"lease-{number}" for number in range(2, MOST + 2)]
