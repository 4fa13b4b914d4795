"""The operator's orders (``store.orders``), taken up by the coordinator."""

from __future__ import annotations

import structlog

from .. import trust
from ..store import Store, orders
from ..store import trust as stored_trust
from ..store.orders import Order
from ..trust import instructions as do
from .auditing import Auditing

log = structlog.get_logger("tabgrid.orders")


class Orders:
    def __init__(self, store: Store, auditing: Auditing) -> None:
        self._store = store
        self._auditing = auditing
        #: By id: what to answer once the books have the event of this number.
        self._told: dict[str, tuple[int, str]] = {}

    async def turn(self, now: float) -> None:
        """Take up what is new, and answer what is kept. Raises ``StoreUnavailable``."""
        waiting = await self._store.read(orders.open_orders)
        for order in waiting:
            if order.id not in self._told:
                answer = self._carry_out(order, now)
                self._told[order.id] = (self._auditing.journal.through, answer)
        if not self._told:
            return
        kept = await self._store.read(stored_trust.last)
        for id, (through, answer) in list(self._told.items()):
            if through <= kept:
                await self._store.write(orders.done, id, answer, now)
                del self._told[id]

    def _carry_out(self, order: Order, now: float) -> str:
        """What the policy made of it, in words for the operator."""
        policy, kind = self._auditing.policy, order.kind
        if kind not in policy.classes:
            return "This coordinator knows no such class, so nothing was done."
        log.info("order of the operator", does=order.does, kind=kind)
        if order.does == "clear":
            told = self._auditing.tell(trust.ClassCleared(kind), now)
            units = sum(unit.state == "untested" for unit in policy.classes[kind].units)
            opened = any(isinstance(each, do.ReopenClass) for each in told)
            if not opened:
                return "It was open; its failed tests are forgotten."
            return f"It is open again: {units} units are tested anew when their nodes are here."
        told = self._auditing.tell(trust.BugConfirmed(kind), now)
        reversed = [each for each in told if isinstance(each, do.ReverseStrike)]
        fines = sum(each.fine for each in reversed)
        return (
            f"It is in quarantine as faulty: {len(reversed)} strikes are undone and {fines} base"
            " units of fines given back. Clear it when the fault is gone."
        )
