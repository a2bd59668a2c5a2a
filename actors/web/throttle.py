"""How often somebody may try a password: pure, with the time passed in.

A few failures are free; after that every further try has to wait, twice as long each time, at most a minute, and after
ten times as many the key waits a quarter of an hour. What is counted first is one user at one address, so that a bad
client behind a proxy shuts out itself and not the desk that shares its address; an address, and a user wherever from,
have much higher bounds. Asked before any hashing, so that a flood of logins costs nothing but this.
"""

from collections import OrderedDict
from collections.abc import Iterable

import attrs

LONGEST_DELAY = 60.0
LOCKED = 900.0
FORGET = 3600.0
CAPACITY = 10_000


@attrs.frozen
class Bound:
    """``free`` failures cost nothing; from ``hard`` on the key is locked for a while (None: it only ever waits)."""

    free: int
    hard: int | None


PAIR = Bound(free=10, hard=100)
ADDRESS = Bound(free=100, hard=1000)
ACCOUNT = Bound(free=100, hard=None)


@attrs.frozen
class Key:
    name: str
    bound: Bound


def login_keys(username: str, address: str) -> tuple[Key, ...]:
    """What a failed login counts against."""
    user = username.casefold()
    return Key(f"pair:{user}\n{address}", PAIR), Key(f"address:{address}", ADDRESS), Key(f"account:{user}", ACCOUNT)


def session_key(session_id: str) -> tuple[Key, ...]:
    """Whoever is signed in gives the password again under a count of their own: nobody else can use it up."""
    return (Key(f"session:{session_id}", PAIR),)


@attrs.frozen
class _Failures:
    count: int
    last: float

    def wait(self, bound: Bound, now: float) -> float:
        """Seconds until the next try."""
        if self.count < bound.free:
            return 0.0
        locked = bound.hard is not None and self.count >= bound.hard
        delay = LOCKED if locked else min(LONGEST_DELAY, 2.0 ** min(self.count - bound.free, 10))
        return max(0.0, self.last + delay - now)


class Throttle:
    """Failed tries per key. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, keys: Iterable[Key], now: float) -> float:
        """How many seconds these keys still have to wait; 0 means try."""
        known = ((key.bound, self._failures.get(key.name)) for key in keys)
        return max((f.wait(b, now) for b, f in known if f is not None and now - f.last < FORGET), default=0.0)

    def failed(self, keys: Iterable[Key], now: float) -> None:
        for key in keys:
            old = self._failures.get(key.name)
            count = old.count if old is not None and now - old.last < FORGET else 0
            self._failures[key.name] = _Failures(count + 1, now)
            self._failures.move_to_end(key.name)
        while len(self._failures) > CAPACITY:
            self._failures.popitem(last=False)

    def succeeded(self, keys: Iterable[Key]) -> None:
        """Forgets the failures of the user; those of an address stay, or a guesser with an account would wipe them."""
        for key in keys:
            if key.bound is not ADDRESS:
                self._failures.pop(key.name, None)
