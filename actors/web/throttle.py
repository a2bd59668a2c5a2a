"""How often somebody may try a password: pure, with the time passed in.

Ten failures are free; after that every further try has to wait, twice as long each time, at most a minute, and after a
hundred failures in a row the account or address waits a quarter of an hour. Asked before any hashing, so that a flood
of logins costs nothing but this.
"""

from collections import OrderedDict

import attrs

FREE = 10
HARD = 100
LONGEST_DELAY = 60.0
LOCKED = 900.0
FORGET = 3600.0
CAPACITY = 10_000


@attrs.frozen
class _Failures:
    count: int
    last: float

    def wait(self, now: float) -> float:
        """Seconds until the next try."""
        if self.count < FREE:
            return 0.0
        delay = LOCKED if self.count >= HARD else min(LONGEST_DELAY, 2.0 ** min(self.count - FREE, 10))
        return max(0.0, self.last + delay - now)


class Throttle:
    """Failed tries per key (an account, an address). Times are monotonic seconds."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, keys: tuple[str, ...], now: float) -> float:
        """How many seconds these keys still have to wait; 0 means try."""
        known = (self._failures.get(key) for key in keys)
        return max((f.wait(now) for f in known if f is not None and now - f.last < FORGET), default=0.0)

    def failed(self, keys: tuple[str, ...], now: float) -> None:
        for key in keys:
            old = self._failures.get(key)
            count = old.count if old is not None and now - old.last < FORGET else 0
            self._failures[key] = _Failures(count + 1, now)
            self._failures.move_to_end(key)
        while len(self._failures) > CAPACITY:
            self._failures.popitem(last=False)

    def succeeded(self, keys: tuple[str, ...]) -> None:
        for key in keys:
            self._failures.pop(key, None)
