"""How often an engine's name was used with a wrong secret lately. Pure, bounded, times in monotonic seconds."""

from collections import OrderedDict, deque

WINDOW_SECONDS = 300.0
REMEMBERED = 50
NAMES = 10_000


class Refusals:
    """Only for enrolled engines: names that nobody knows would let a stranger fill the memory."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, engine_id: str, now: float) -> None:
        self._times.setdefault(engine_id, deque(maxlen=REMEMBERED)).append(now)
        self._times.move_to_end(engine_id)
        while len(self._times) > NAMES:
            self._times.popitem(last=False)

    def count(self, engine_id: str, now: float) -> int:
        """Those of the last five minutes."""
        return sum(1 for at in self._times.get(engine_id, ()) if now - at < WINDOW_SECONDS)
