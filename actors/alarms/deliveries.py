"""Which alerts still have to be told to the outside, and when. Pure: time and randomness are passed in.

An alert is told until it is taken, at most ``ATTEMPTS`` times with growing pauses; then it is a dead letter that a
person sees. A critical alert that nobody acknowledged is told again, less and less often: warnings that are sent once
are warnings that are overlooked.
"""

import random
from collections import OrderedDict
from enum import Enum

import attrs

from supervisor.backoff import Backoff
from wire.rest.records import Alert, AlertState

ATTEMPTS = 8
REMIND_AFTER = (300.0, 900.0, 3600.0)
"""Seconds after a delivery; the last one repeats."""
CAPACITY = 1000


class Kind(Enum):
    ALERT = "alert"
    REMINDER = "reminder"


@attrs.frozen(kw_only=True)
class Delivery:
    """One alert on its way. ``attempt`` counts from 1 within this telling, ``telling`` from 0 over all."""

    alert: Alert
    due: float
    attempt: int = 1
    telling: int = 0

    @property
    def kind(self) -> Kind:
        return Kind.REMINDER if self.telling else Kind.ALERT


class Deliveries:
    """At most ``capacity`` alerts; the oldest reminder goes first, then the oldest alert, and is given back as dead."""

    def __init__(self, backoff: Backoff, rng: random.Random, capacity: int = CAPACITY) -> None:
        self._backoff = backoff
        self._rng = rng
        self._capacity = capacity
        self._waiting: OrderedDict[str, Delivery] = OrderedDict()
        self._known: set[str] = set()  # of those that were not told yet: a person knows them already

    def add(self, alert: Alert, now: float) -> list[Delivery]:
        """A new alert, or a known one again; what has to give way for it."""
        return self._put(Delivery(alert=alert, due=now))

    def told_before(self, alert: Alert, now: float) -> list[Delivery]:
        """An open alert that an earlier platform has told: only a reminder is due."""
        if alert.severity != "critical":
            return []
        return self._put(Delivery(alert=alert, due=now + REMIND_AFTER[0], telling=1))

    def _put(self, delivery: Delivery) -> list[Delivery]:
        self._known.discard(delivery.alert.id)
        self._waiting[delivery.alert.id] = delivery
        dropped: list[Delivery] = []
        while len(self._waiting) > self._capacity:
            told = (i for i, d in self._waiting.items() if d.telling)
            gone = self._waiting.pop(next(told, next(iter(self._waiting))))
            self._known.discard(gone.alert.id)
            dropped += [gone] if not gone.telling else []
        return dropped

    def acknowledged(self, alert_id: str) -> None:
        """A person knows: no reminder. What was never told yet is told all the same."""
        waiting = self._waiting.get(alert_id)
        if waiting is not None and waiting.telling:
            del self._waiting[alert_id]
        elif waiting is not None:
            self._known.add(alert_id)

    def next_due(self) -> float | None:
        return min((d.due for d in self._waiting.values()), default=None)

    def take(self, now: float) -> Delivery | None:
        """The one that has waited longest of those that are due. It stays until ``taken`` or ``failed`` is said."""
        due = [d for d in self._waiting.values() if d.due <= now]
        return min(due, key=lambda d: d.due, default=None)

    def taken(self, delivery: Delivery, now: float) -> None:
        """The other side has it. A critical alert comes back as a reminder."""
        current = self._waiting.get(delivery.alert.id)
        if current is not delivery:
            return
        del self._waiting[delivery.alert.id]
        nobody_knows = delivery.alert.state is AlertState.OPEN and delivery.alert.id not in self._known
        self._known.discard(delivery.alert.id)
        if delivery.alert.severity == "critical" and nobody_knows:
            pause = REMIND_AFTER[min(delivery.telling, len(REMIND_AFTER) - 1)]
            again = attrs.evolve(delivery, due=now + pause, attempt=1, telling=delivery.telling + 1)
            self._waiting[delivery.alert.id] = again

    def failed(self, delivery: Delivery, now: float, *, for_good: bool = False) -> bool:
        """True when it is dead now: nobody will try it again by himself."""
        if self._waiting.get(delivery.alert.id) is not delivery:
            return False
        if for_good or delivery.attempt >= ATTEMPTS:
            del self._waiting[delivery.alert.id]
            self._known.discard(delivery.alert.id)
            return True
        pause = self._backoff.delay(delivery.attempt - 1, self._rng)
        later = attrs.evolve(delivery, due=now + pause, attempt=delivery.attempt + 1)
        self._waiting[delivery.alert.id] = later
        return False

    def __len__(self) -> int:
        return len(self._waiting)
