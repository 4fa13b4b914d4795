"""Which kinds of devices cannot run which models, as nodes find out by their self-tests.

No strike comes of it: a driver that computes wrong is nobody's fault. It is counted so that an
operator sees that a model fails on a kind of device, and a node owner that they are not alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from tabgrid_wire import messages as wire

#: Kinds remembered at most: nodes name their kind themselves, so somebody may make them up. What
#: nobody told of for longest goes first.
KINDS = 200
#: Devices counted of each; both limits together are some megabytes of names.
DEVICES = 200


class Kind(NamedTuple):
    digest: str
    device_class: str
    code: str
    dtypes: tuple[str, ...]


class Unsupported:
    """Counts since the grid started. A device that runs the model after all is not counted."""

    def __init__(self) -> None:
        self._devices: OrderedDict[Kind, set[str]] = OrderedDict()
        #: Where a device is counted for a model, by its id, its class and the model: a tab that
        #: now computes on the processor still has the graphics processor that it had.
        self._places: dict[tuple[str, str, str], Kind] = {}

    def told(self, hello: wire.Hello, ready: wire.Ready, offered: Iterable[str]) -> None:
        """A node has said what it runs; ``offered`` are the digests that it was asked to."""
        known = set(offered)
        for refused in ready.refused:
            if refused.digest in known:
                self._forget((hello.device_id, hello.device_class, refused.digest))
                kind = Kind(refused.digest, hello.device_class, refused.code, refused.dtypes)
                self._count(kind, hello.device_id)
        for model in ready.models:
            self._forget((hello.device_id, hello.device_class, model.digest))

    def counts(self) -> list[tuple[Kind, int]]:
        """The most frequent first."""
        found = [(kind, len(devices)) for kind, devices in self._devices.items()]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def _count(self, kind: Kind, device: str) -> None:
        devices = self._devices.setdefault(kind, set())
        self._devices.move_to_end(kind)
        if len(devices) < DEVICES:
            devices.add(device)
            self._places[device, kind.device_class, kind.digest] = kind
        while len(self._devices) > KINDS:
            oldest, gone = self._devices.popitem(last=False)
            for each in gone:
                del self._places[each, oldest.device_class, oldest.digest]

    def _forget(self, place: tuple[str, str, str]) -> None:
        kind = self._places.pop(place, None)
        if kind is None:
            return
        self._devices[kind].discard(place[0])
        if not self._devices[kind]:
            del self._devices[kind]
