"""The order gate: the last synchronous step before an order's bytes reach the broker's socket.

Everything that may stop an order is decided here and nowhere else, behind every queue and throttle, so that "the gate
is closed" means "from this instant no such order leaves". It is closed at boot. What passes is in flight until its
answer is booked; a stop reports how many there were.

    level           strategy order        strategy cancel   stop's cancel       stop's order
    NORMAL          lease ∧ synced        yes               –                   –
    REDUCE_ONLY     … ∧ reduces           yes               –                   –
    (caution)       … ∧ reduces           yes               –                   –
    HALT            no                    no                –                   –
    CANCEL          no                    no                in its scope        –
    FLATTEN         no                    no                in its scope        reduces, in its scope

Synced says that the last comparison of the engine's books with its broker found them equal, and that it began after
everything that gave reason to doubt them; an expiry of the lease is such a reason by itself.
Caution is not a stop: it holds while something the engine must know is not known, and ends by itself.
For a while after a release with reduced limits a strategy's order that does not reduce may be worth only so much.
An order without a strategy is under whatever holds for any of them: a pause, or the smallest of the limits.
A cancel of a stop's own order (UNWIND) always passes: it can only take away what the engine itself put there.
"""

from collections.abc import Callable, Iterable
from enum import Enum

import attrs

from wire.sdk.errors import GateClosed
from wire.sdk.lease import Lease
from wire.stops import Entry, Level, Register, Scope
from wire.values import Side


class Purpose(Enum):
    ORDER = "order"
    CANCEL = "cancel"
    STOP_CANCEL = "stop_cancel"
    STOP_ORDER = "stop_order"
    UNWIND = "unwind"


@attrs.frozen(kw_only=True)
class Intent:
    """What is about to be written. ``strategy_id`` None: nobody's (found at the broker)."""

    order_id: str
    purpose: Purpose
    strategy_id: str | None
    symbol: str
    side: Side
    quantity: int
    price: int | None = None
    """In won, by which the order is valued. None: not known."""


@attrs.frozen(kw_only=True)
class Reduction:
    """Until ``until`` (engine's clock) an order that does not reduce may be worth at most ``max_order_value`` won."""

    until: float
    max_order_value: int


Reducible = Callable[[str | None, str, Side], int]
"""How many shares an order of this strategy, symbol and side may take and still only reduce: what is held, less what
written orders of that side are already taking."""


class Gate:
    """``reducible`` is asked at the moment of the check; the order under check must not count in it yet."""

    def __init__(self, *, engine_id: str, account_id: str | None, lease: Lease, reducible: Reducible) -> None:
        self._engine_id = engine_id
        self._account_id = account_id
        self._lease = lease
        self._reducible = reducible
        self._in_flight: dict[str, Intent] = {}
        self.register = Register()
        self._doubts = 0
        self._agreed: int | None = None
        self.fenced: str | None = None  # why nothing may open whatever the register says, e.g. a foreign platform
        self.unlatched: str | None = None  # likewise: a stop could not be remembered
        self.caution: str | None = None  # why only reducing orders may leave whatever the register says
        self.paused: set[str] = set()
        self.reduced: dict[str, Reduction] = {}

    # --- the books ---

    @property
    def doubts(self) -> int:
        """Asked for when a comparison of the books with the broker begins, and handed to ``agreed`` at its end."""
        return self._doubts + self._lease.lapses

    @property
    def synced(self) -> bool:
        return self._agreed == self.doubts

    def doubt(self) -> None:
        """The books may be wrong: nothing opens before a comparison that begins from now on."""
        self._doubts += 1

    def agreed(self, doubts: int) -> None:
        """Books and broker show the same, by a comparison that began when this was the count of doubts. One that began
        before the last doubt changes nothing."""
        if doubts == self.doubts:
            self._agreed = doubts

    # --- the stops ---

    def close(self, stop_id: str, entry: Entry) -> None:
        """From the return of this call on, nothing leaves that the stop forbids."""
        self.register = self.register.with_stop(stop_id, entry)

    def open(self, stop_ids: Iterable[str], epoch: int) -> None:
        self.register = self.register.with_release(stop_ids, epoch)

    def level_for(self, strategy_id: str | None, symbol: str | None) -> Level:
        """The maximum over the open stops that cover this strategy and symbol."""
        return self.register.level_for(self._engine_id, self._account_id, strategy_id, symbol)

    def allowed_level(self, strategy_id: str | None, symbol: str | None) -> Level:
        """The level a strategy's order meets: the stops', or REDUCE_ONLY under caution."""
        level = self.level_for(strategy_id, symbol)
        return max(level, Level.REDUCE_ONLY) if self.caution is not None else level

    def engine_level(self) -> Level:
        return self.register.engine_level(self._engine_id, self._account_id)

    def shut_reason(self, now: float) -> str | None:
        """Why no strategy order may leave now, stops apart; None when they may."""
        if self.fenced is not None:
            return self.fenced
        if self.unlatched is not None:
            return self.unlatched
        if not self._lease.alive(now):
            return "no live lease from the platform"
        return None if self.synced else "not reconciled with the broker"

    # --- the orders ---

    def check(self, intent: Intent, now: float) -> None:
        """Lets the intent through and counts it as in flight, or raises GateClosed. Never waits."""
        refusal = self._refusal(intent, now)
        if refusal is not None:
            raise GateClosed(refusal)
        self._in_flight[intent.order_id] = intent

    def would_refuse(self, intent: Intent, now: float) -> bool:
        """The same question without counting anything, to spare work that could only be refused."""
        return self._refusal(intent, now) is not None

    def settle(self, order_id: str) -> None:
        """The answer to a written request is booked, or its fate reconciled."""
        self._in_flight.pop(order_id, None)

    def in_flight(self, scope: Scope | None = None) -> int:
        """Requests written and not yet answered, of everything or of what ``scope`` covers."""
        if scope is None:
            return len(self._in_flight)
        covers = scope.covers
        return sum(covers(self._engine_id, self._account_id, i.strategy_id, i.symbol) for i in self._in_flight.values())

    def _refusal(self, intent: Intent, now: float) -> str | None:
        level = self.level_for(intent.strategy_id, intent.symbol)
        match intent.purpose:
            case Purpose.UNWIND:
                return None
            case Purpose.STOP_CANCEL:
                return None if level >= Level.CANCEL else "no stop asks for this cancel"
            case Purpose.STOP_ORDER:
                return self._reducing(intent) if level is Level.FLATTEN else "no stop asks for this order"
            case Purpose.CANCEL:
                return None if level <= Level.REDUCE_ONLY else f"stopped at {level.value}"
            case Purpose.ORDER:
                return self._strategy_refusal(intent, level, now) or self._too_large(intent, now)

    def _strategy_refusal(self, intent: Intent, level: Level, now: float) -> str | None:
        if level >= Level.HALT:
            return f"stopped at {level.value}"
        if (shut := self.shut_reason(now)) is not None:
            return shut
        if intent.strategy_id in self.paused or (intent.strategy_id is None and self.paused):
            return "the strategy is paused"
        if level is Level.REDUCE_ONLY or self.caution is not None:
            return self._reducing(intent)
        return None

    def _too_large(self, intent: Intent, now: float) -> str | None:
        """In the first minutes after a release: small orders, and those that reduce."""
        limit = self._limit_of(intent.strategy_id, now)
        if limit is None or self._reducing(intent) is None:
            return None
        if intent.price is None:
            return "reduced after a release, and the order's value is not known"
        worth = intent.quantity * intent.price
        return None if worth <= limit else f"reduced after a release: {worth:,} won is more than {limit:,} an order"

    def _limit_of(self, strategy_id: str | None, now: float) -> int | None:
        """What an order may be worth now. One that is nobody's in particular meets the smallest limit of all."""
        values = (r.max_order_value for s, r in self.reduced.items() if strategy_id in (None, s) and now < r.until)
        return min(values, default=None)

    def _reducing(self, intent: Intent) -> str | None:
        room = self._reducible(intent.strategy_id, intent.symbol, intent.side)
        return None if intent.quantity <= room else f"only {room} shares can be reduced"
