"""Counting what devices cannot run: once each, within limits, and not when it runs after all."""

from __future__ import annotations

from tabgrid_server.coordinator import unsupported
from tabgrid_server.coordinator.unsupported import Kind, Unsupported
from tabgrid_wire import messages as wire

MODEL, OTHER = "a" * 64, "b" * 64


def hello(device: str, kind: str = "webgpu:acme:one") -> wire.Hello:
    return wire.Hello("test", "browser", "webgpu", "a GPU", kind, device, 0, ("images",))


def refusing(digest: str = MODEL, code: wire.RefusalCode = "wrong_numbers") -> wire.Ready:
    return wire.Ready((), (wire.RefusedModel(digest, "words", code, ("q4",)),))


def running(digest: str = MODEL) -> wire.Ready:
    return wire.Ready((wire.LoadedModel(digest, "fp32", "fp32", 1.0),))


def test_a_device_counts_once_however_often_it_says_so() -> None:
    counts = Unsupported()
    for device in ("one", "two", "one", "one"):
        counts.told(hello(device), refusing(), [MODEL])
    assert counts.counts() == [(Kind(MODEL, "webgpu:acme:one", "wrong_numbers", ("q4",)), 2)]


def test_a_device_that_has_another_reason_now_counts_for_that() -> None:
    counts = Unsupported()
    counts.told(hello("one"), refusing(), [MODEL])
    counts.told(hello("one"), refusing(code="out_of_memory"), [MODEL])
    assert [(kind.code, number) for kind, number in counts.counts()] == [("out_of_memory", 1)]


def test_a_device_that_runs_it_after_all_is_not_counted() -> None:
    counts = Unsupported()
    counts.told(hello("one"), refusing(), [MODEL])
    counts.told(hello("one"), running(OTHER), [MODEL, OTHER])
    assert len(counts.counts()) == 1
    counts.told(hello("one"), running(), [MODEL])
    assert counts.counts() == []


def test_another_way_to_compute_on_the_same_device_is_another_kind() -> None:
    counts = Unsupported()
    counts.told(hello("one"), refusing(), [MODEL])
    counts.told(hello("one", "wasm:simd"), running(), [MODEL])
    assert [kind.device_class for kind, _ in counts.counts()] == ["webgpu:acme:one"]


def test_what_nobody_offered_is_not_counted() -> None:
    counts = Unsupported()
    counts.told(hello("one"), refusing(OTHER), [MODEL])
    assert counts.counts() == []


def test_kinds_and_devices_that_somebody_makes_up_have_a_limit() -> None:
    counts = Unsupported()
    for number in range(unsupported.DEVICES + 5):
        counts.told(hello(f"device-{number}"), refusing(), [MODEL])
    assert [number for _, number in counts.counts()] == [unsupported.DEVICES]
    for number in range(unsupported.KINDS):
        counts.told(hello(f"flood-{number}", f"kind-{number}"), refusing(), [MODEL])
    found = counts.counts()
    assert len(found) == unsupported.KINDS
    assert {kind.device_class for kind, _ in found}.isdisjoint({"webgpu:acme:one"})
    counts.told(hello("device-1"), running(), [MODEL])
    assert counts.counts() == found
