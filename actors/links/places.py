"""What the engine links of one platform share, and who may take over whose place. Pure where it decides.

Two live processes on one broker account are a trading hazard, so an engine id belongs to one instance at a time. The
same instance that comes back takes its own place at once; another one is turned away while the first was heard within
7.5 s, and then gets no lease before the first one's is surely over. A platform that has just started did not hear the
instances of its predecessor, whose leases may still be alive: it guards the place of each as if it had heard it last.
"""

from collections.abc import Callable
from datetime import datetime
from enum import Enum

import attrs
import trio

from actors.stops.shelf import StopShelf
from supervisor.ref import Ref
from wire.parts import LeaseExpiry, Limits
from wire.platform_session import SUSPECT_AFTER_S
from wire.session import Detached

LEASE_SECONDS = 15.0
QUIET_SECONDS = SUSPECT_AFTER_S
"""An instance that was heard so lately may still be alive."""
GUARD_MARGIN_SECONDS = 1.0
WINDOW = 1024
LETTERS_REMEMBERED = 1000
STOPPED = "stopped"
UNKNOWN_INSTANCE = ""


class Verdict(Enum):
    """FRESH: nobody was there. SAME: the instance returns. AFTER: another one was there and is silent. IN_USE: 4023."""

    FRESH = "fresh"
    SAME = "same"
    AFTER = "after"
    IN_USE = "in_use"


@attrs.define(kw_only=True)
class Place:
    """One engine id: who had it last, and what outlives its connections. Times are monotonic seconds.

    ``connections`` counts those that were opened; ``welcomed`` is the number of the newest that was welcomed. Whoever
    greets holds ``greeting``: two connections of one engine are never welcomed at the same time. ``rival``: another
    instance was turned away, and this one has said nothing since. An engine that was killed and comes back at once is
    such a rival of the one that is dead; only when that one speaks again are there two.
    """

    instance: str | None = None
    heard: float | None = None
    lease_until: float = 0.0
    guarded_until: float = 0.0
    synced: bool = False
    link: Ref | None = None
    detached: Detached | None = None
    epoch: int = 0
    connections: int = 0
    welcomed: int = 0
    rival: bool = False
    greeting: trio.Lock = attrs.field(factory=trio.Lock)
    stop_letters: dict[str, tuple[str, int]] = attrs.field(factory=dict)

    def claim(self, instance: str, now: float) -> Verdict:
        """Whether a process that says hello may have the place. Nothing is changed yet."""
        if self.instance is None or self.heard is None:
            return Verdict.FRESH
        if self.instance == instance:
            return Verdict.SAME
        return Verdict.IN_USE if now - self.heard < QUIET_SECONDS else Verdict.AFTER

    def take(self, instance: str, verdict: Verdict, now: float) -> None:
        if verdict is Verdict.AFTER:
            self.guarded_until = max(self.guarded_until, self.lease_until + GUARD_MARGIN_SECONDS)
            self.lease_until = 0.0
        if verdict is not Verdict.SAME:
            self.synced = False
            self.rival = False
        self.instance, self.heard = instance, now

    def has_rival(self) -> bool:
        """Its instance lives: whether there is another one, too. Says so once for each time that one was there."""
        rival, self.rival = self.rival, False
        return rival

    def surely(self, instance: str, now: float) -> str:
        """The instance as a later platform may trust it: not while another one's lease may still be alive."""
        return instance if now >= self.guarded_until else UNKNOWN_INSTANCE

    def granted(self, now: float) -> None:
        self.lease_until = now + LEASE_SECONDS

    def said_goodbye(self) -> None:
        """It stopped by itself and said so: no lease of it is alive. What guards against an earlier one stays."""
        self.instance, self.heard = None, None
        self.lease_until = 0.0
        self.synced = self.rival = False

    def remember(self, letter_id: str, stop_id: str, epoch: int) -> None:
        self.stop_letters[letter_id] = (stop_id, epoch)
        while len(self.stop_letters) > LETTERS_REMEMBERED:
            del self.stop_letters[next(iter(self.stop_letters))]


def inherited(instance: str, begun_at: float, *, epoch: int = 0) -> Place:
    """A place at the platform's start, held by the instance that an earlier one welcomed: it may have got a lease just
    before. UNKNOWN_INSTANCE is nobody's, so whoever comes waits until no lease of an earlier platform can be alive."""
    heard, lease_until = begun_at - QUIET_SECONDS, begun_at + LEASE_SECONDS
    return Place(instance=instance, heard=heard, lease_until=lease_until, epoch=epoch)


@attrs.frozen(kw_only=True)
class Office:
    """Who this platform is, as engines are told."""

    platform_id: str
    term: int


@attrs.define(kw_only=True, eq=False)
class LinkDesk:
    """``office`` is asked at each welcome; ``verify`` gives the end of a token's life, or raises WireError.

    ``turn`` is taken to work through what an engine has said: one engine in each pass of the scheduler, in the order
    of their coming. When a whole fleet talks, what is not telemetry (a stop, a request, a screen) still gets its turn
    after one chunk of one engine, and not after one of each.

    ``places`` has those that an earlier platform left, ``stranger`` makes one for an engine without any.
    """

    shelf: StopShelf
    office: Callable[[], Office]
    coordinator: Ref
    fleet: Ref
    parameters: Ref
    log_writer: Ref
    alerts: Ref
    verify: Callable[[str, str], datetime]
    database_is_away: Callable[[], bool]
    config_version: Callable[[str], int] = lambda _engine_id: 0
    is_enrolled: Callable[[str], bool] = lambda _engine_id: True
    limits: Limits = attrs.field(factory=lambda: Limits(window=WINDOW))
    on_expiry: LeaseExpiry = attrs.field(factory=LeaseExpiry)
    places: dict[str, Place] = attrs.field(factory=dict)
    turn: trio.Lock = attrs.field(factory=trio.Lock)
    stranger: Callable[[], Place] = Place

    def place(self, engine_id: str) -> Place:
        place = self.places.get(engine_id)
        if place is None:
            place = self.places[engine_id] = self.stranger()
        return place

    def lease_ms(self, place: Place, synced: bool, now: float) -> int:
        """A lease is given only while the coordinator lives, the engine knows its broker's books, and it is alone; else
        it is 0."""
        if not (synced and self.shelf.is_fresh(now) and now >= place.guarded_until):
            return 0
        place.granted(now)
        return round(LEASE_SECONDS * 1000)
