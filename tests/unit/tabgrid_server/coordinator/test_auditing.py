"""What waits for references is bounded, and nodes that should be excluded are always checked."""

from __future__ import annotations

from itertools import count

import msgspec
import pytest

from tabgrid_models.connectors.base import Comparison
from tabgrid_models.connectors.echo import CONNECTOR, EchoInput
from tabgrid_server import scheduler
from tabgrid_server.bench.client import hello
from tabgrid_server.coordinator import auditing
from tabgrid_server.coordinator.auditing import Auditing
from tabgrid_server.coordinator.draws import FIRST_DAY, Draws
from tabgrid_server.coordinator.live import Answer, LiveJob, LiveNode
from tabgrid_server.coordinator.offers import Offer
from tabgrid_server.coordinator.pricing import Price
from tabgrid_server.coordinator.receipts import Evidence
from tabgrid_server.library import open_library
from tabgrid_server.settings import GridSettings
from tabgrid_server.store import Check
from tabgrid_server.trust import ONE
from tabgrid_wire import messages as wire
from tabgrid_wire.commitment import output_digest

NOW = FIRST_DAY + 86_400
SAID = msgspec.msgpack.encode({"text": "x" * 100})
AGREE, DIFFER = Comparison(0.0, 0.5), Comparison(1.0, 0.5)


class Place:
    """Where a node is reached; nothing is sent here."""

    address = "192.0.2.1"

    def send(self, message: wire.ToNode) -> None:
        raise AssertionError(message)

    def close(self, code: int, reason: str) -> None:
        raise AssertionError(reason)


class Bench:
    def __init__(self) -> None:
        manifest = open_library().catalogue.by_id("echo")
        assert manifest is not None
        settings = GridSettings(title="t", description="d", models=("echo",), price_per_unit=100)
        self.offer = Offer("bench", settings, manifest, CONNECTOR, None)
        self.told: list[scheduler.Event] = []
        self.kept: list[Check] = []
        self.auditing = Auditing(Draws(bytes(32)), self.told.append, self.kept.append)
        self.numbers = count()

    def node(self, wallet: str = "ann", device_class: str = "cpu") -> LiveNode:
        said = hello("d", ("bench",), device_class)
        return LiveNode("n", wallet, "k", said, Place(), NOW)

    def answer(self, node: LiveNode) -> Evidence:
        job = LiveJob(
            id=f"job-{next(self.numbers)}",
            owner="o",
            key_id="k",
            offer=self.offer,
            input=EchoInput("x"),
            input_bytes=b"x",
            price=Price(100, 5),
            units=1,
            usage={},
            public=False,
            show_preview=False,
            submitted_at=NOW,
        )
        result = wire.Result("lease", job.id, SAID, bytes(16), bytes(64), 0)
        answer = Answer(result, SAID, output_digest(SAID))
        evidence = self.auditing.answered(job, node, answer, "fp32", NOW)
        assert evidence is not None
        return evidence

    def judge(self, comparison: Comparison, device_class: str = "reference") -> None:
        audit = next(reversed(self.auditing.audits.values()))
        judge = self.node("operator", device_class)
        self.auditing.compared(audit, judge, comparison, NOW)


@pytest.mark.parametrize(("limit", "value"), [("WAITING", 2), ("WAITING_BYTES", 250)])
async def test_what_waits_longest_is_given_up(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(auditing, limit, value)
    bench = Bench()
    for _ in range(3):
        bench.answer(bench.node())
    first, *_, last = bench.told
    assert isinstance(first, scheduler.AuditSubmitted)
    assert isinstance(last, scheduler.JobCancelled)
    assert last.job == first.audit
    assert [audit.job for audit in bench.auditing.audits.values()] == ["job-1", "job-2"]
    results = bench.auditing.trust.results
    assert [results[f"job-{n}"].check for n in range(3)] == ["unchecked", "checking", "checking"]


async def test_a_second_reference_has_another_kind_of_device_and_its_word_counts() -> None:
    bench = Bench()
    bench.answer(bench.node())
    bench.judge(DIFFER, "cpu")
    second = bench.told[-1]
    assert isinstance(second, scheduler.AuditSubmitted)
    assert (second.wallet, second.not_device_classes) == ("ann", frozenset({"cpu"}))
    bench.judge(AGREE, "gpu")
    assert [(check.purpose, check.agreed) for check in bench.kept] == [
        ("audit", False),
        ("second", True),
    ]
    assert not bench.auditing.trust.strikes
    assert not bench.auditing.audits


async def test_of_a_node_that_would_be_excluded_every_answer_is_checked() -> None:
    bench = Bench()
    node = bench.node()
    while not bench.auditing.trust.barred:
        bench.answer(node)
        bench.judge(DIFFER, "cpu")
        bench.judge(DIFFER, "gpu")
    evidence = bench.answer(node)
    assert (evidence.audited, evidence.probability) == (True, ONE)
    assert len(bench.auditing.audits) == 1
    bench.judge(DIFFER)
    assert bench.kept[-1].agreed is False


async def test_no_distance_is_too_large_for_json() -> None:
    bench = Bench()
    bench.answer(bench.node())
    bench.judge(Comparison(float("inf"), 0.5))
    assert bench.kept[0].distance == 1e308
