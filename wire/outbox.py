"""What is to be sent: lossless messages until they are acknowledged, the newest of each conflated kind, and numbers.

A number is given at the moment of sending. Stops and releases overtake everything unsent and ignore the window; what
an engine says of a stop, of an error or of a command does so when the window is full, so that a platform that cannot
commit (its database is away) still hears how far a stop is. What was sent and must not be repeated (conflated,
released, expired, lost) leaves its number behind, and a gap_fill takes it. Messages wait in bounded space: what does
not fit is counted and told to the peer, never dropped in silence.
"""

from collections import deque
from collections.abc import Callable
from copy import copy
from datetime import datetime
from typing import Any

import attrs

from wire.lanes import LANES, Lane
from wire.lines import Line, put
from wire.messages import EmergencyStop, ErrorReport, LocalStop, ParameterResult, Release, StopProgress, StrategyResult
from wire.values import GapCause

URGENT = (EmergencyStop, Release)
VITAL = (StopProgress, ErrorReport, LocalStop, ParameterResult, StrategyResult)
RESERVED = 16
BEYOND = 256
"""How many vital messages may be under way beyond a full window."""


@attrs.define(kw_only=True)
class Letter:
    """One message on its way. ``gap`` says that its number will be filled instead of sent (again)."""

    message: Any
    id: str | None
    timestamp: datetime
    re: str | None = None
    crit: tuple[str, ...] = ()
    expires_at: float | None = None
    gap: GapCause | None = None
    lost: int = 0
    conflated: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.conflated = LANES[type(self.message)] is Lane.CONFLATED

    def become_gap(self, cause: GapCause) -> None:
        """Nothing but the number is left, and its memory is free."""
        self.gap, self.message = cause, None
        self.lost = 1 if cause is GapCause.LOST else 0


@attrs.frozen(kw_only=True)
class Sending:
    """Numbers ``from_seq`` to ``to_seq`` go out now: a letter (one number) or the filling of a gap."""

    from_seq: int
    to_seq: int
    letter: Letter
    gap: GapCause | None


class Outbox:
    """``capacity`` bounds the lossless messages held, ``window`` those sent and not acknowledged."""

    def __init__(self, *, capacity: int = 10_000, window: int = 256) -> None:
        self.capacity = capacity
        self.window = window
        self.next_seq = 1
        self.acked = 0
        self.lost = 0
        self.expired = 0
        self._held = 0
        self._vital = 0
        self._urgent: list[Letter] = []
        self._queue: Line[Letter] = ()
        self._slots: dict[type, Letter] = {}
        self._sent: dict[int, Letter] = {}
        self._resend: Line[int] = ()

    # --- in -------------------------------------------------------------------------------------------------------

    def put(self, letter: Letter) -> bool:
        """False when there was no room and the message is lost."""
        if letter.conflated:
            self._put_conflated(letter)
            return True
        if isinstance(letter.message, URGENT):
            if isinstance(letter.message, Release):
                self._withdraw_stops(letter.message)
            self._held += 1
            self._urgent.append(letter)
            return True
        if not self._make_room_for(letter):
            self._lose(letter)
            return False
        self._held += 1
        self._vital += isinstance(letter.message, VITAL)
        self._queue = put(self._queue, letter)
        return True

    def _put_conflated(self, letter: Letter) -> None:
        waiting = self._slots.get(type(letter.message))
        if waiting is None:
            self._slots[type(letter.message)] = letter
            self._queue = put(self._queue, letter)
        else:
            # The slot keeps its place, so a fast source cannot push itself back forever.
            waiting.message, waiting.timestamp, waiting.id = letter.message, letter.timestamp, letter.id

    def _make_room_for(self, letter: Letter) -> bool:
        if not self.is_full:
            return True
        vital = isinstance(letter.message, VITAL)
        return vital and (self._held < self.capacity or self._evict())

    def _evict(self) -> bool:
        """Gives the place of the oldest unsent ordinary message away."""
        for letter in self._queue:
            if letter.gap is None and not letter.conflated and not isinstance(letter.message, VITAL):
                letter.become_gap(GapCause.LOST)
                self.lost += 1
                self._held -= 1
                return True
        return False

    def _lose(self, letter: Letter) -> None:
        self.lost += 1
        if self._queue and self._queue[-1].gap is GapCause.LOST:
            self._queue[-1].lost += 1
            return
        letter.become_gap(GapCause.LOST)
        self._queue = put(self._queue, letter)

    def _withdraw_stops(self, release: Release) -> None:
        ended = set(release.stop_ids)

        def is_over(letter: Letter) -> bool:
            stop = letter.message
            return isinstance(stop, EmergencyStop) and stop.stop_id in ended and stop.stop_epoch <= release.epoch

        kept = [letter for letter in self._urgent if not is_over(letter)]
        self._held -= len(self._urgent) - len(kept)
        self._urgent = kept
        for letter in self._sent.values():
            if is_over(letter):
                letter.become_gap(GapCause.RELEASED)

    # --- out ------------------------------------------------------------------------------------------------------

    def take(self, now: float) -> Sending | None:
        """What goes out next, or None: nothing waits or the window is full."""
        self._drop_acknowledged_resends()
        if self._resend:
            return self._again(self._resend, now)
        if self._urgent:
            return self._first_time(self._urgent.pop(0))
        while (letter := self._next_waiting()) is not None:
            if self._is_expired(letter, now):
                self._held -= 1
                self.expired += 1
                continue
            return self._first_time(letter)
        return None

    def number(self, letter: Letter) -> int | None:
        """A stop that leaves in this step, with nothing that goes before it: ``put`` and ``take`` in one."""
        if self._urgent or self._resend:
            return None
        seq = self.next_seq
        self.next_seq += 1
        self._held += 1
        self._sent[seq] = letter
        return seq

    def _next_waiting(self) -> Letter | None:
        """The oldest letter that the window lets pass: any, or a vital one from behind those that are held back."""
        queue = self._queue
        if not queue:
            return None
        if len(self._sent) < self.window:
            place = 0
        elif self._vital and len(self._sent) < self.window + BEYOND:
            place = next(i for i, letter in enumerate(queue) if isinstance(letter.message, VITAL))
        else:
            return None
        letter = queue[place]
        del queue[place]
        self._vital -= isinstance(letter.message, VITAL)
        if letter.conflated and letter.gap is None:
            del self._slots[type(letter.message)]
        return letter

    @property
    def written(self) -> int:
        """The highest number written on this connection: a peer that has seen less has lost the tail."""
        self._drop_acknowledged_resends()
        return self._resend[0] - 1 if self._resend else self.next_seq - 1

    def spoil(self, seq: int) -> None:
        """The letter with this number turned out to be unsendable: from now on its number is lost."""
        letter = self._sent[seq]
        if letter.gap is None and not letter.conflated:
            letter.become_gap(GapCause.LOST)
            self._held -= 1
        self.lost += 1

    def _first_time(self, letter: Letter) -> Sending:
        seq = self.next_seq
        self.next_seq += 1
        sending = Sending(from_seq=seq, to_seq=seq, letter=letter, gap=letter.gap)
        if letter.conflated:
            letter = copy(letter)
            letter.become_gap(GapCause.CONFLATED)
        self._sent[seq] = letter
        return sending

    def _again(self, resend: deque[int], now: float) -> Sending:
        first = resend.popleft()
        letter = self._sent[first]
        cause = self._cause(letter, now)
        last = first
        # Neighbours that are missing for the same reason are filled with one message.
        while cause and resend and self._cause(self._sent[resend[0]], now) is cause:
            if cause is GapCause.LOST:
                break
            last = resend.popleft()
        return Sending(from_seq=first, to_seq=last, letter=letter, gap=cause)

    def _cause(self, letter: Letter, now: float) -> GapCause | None:
        if self._is_expired(letter, now):
            self.expired += 1
            letter.become_gap(GapCause.EXPIRED)
        return letter.gap

    def _is_expired(self, letter: Letter, now: float) -> bool:
        return letter.gap is None and letter.expires_at is not None and now >= letter.expires_at

    def _drop_acknowledged_resends(self) -> None:
        while self._resend and self._resend[0] not in self._sent:
            self._resend.popleft()

    # --- acknowledged, resumed, renumbered ------------------------------------------------------------------------

    def acknowledge(self, seq: int) -> tuple[str, ...] | None:
        """The ids of the lossless messages now known to be committed; None when ``seq`` was never sent."""
        if seq >= self.next_seq:
            return None
        ids = []
        for number in range(self.acked + 1, seq + 1):
            letter = self._sent.pop(number)
            if not letter.conflated and not letter.lost:
                self._held -= 1
                ids.append(letter.id)
        self.acked = max(self.acked, seq)
        return tuple(i for i in ids if i is not None)

    def resume(self, last_recv: int) -> tuple[str, ...] | None:
        """A new connection of the same session: everything after ``last_recv`` is to be sent again."""
        if last_recv < self.acked:
            return None
        ids = self.acknowledge(last_recv)
        self._resend = deque(self._sent)
        return ids

    def revise(self, now_true: Callable[[Any], Any]) -> None:
        """For stops and releases that wait for a new connection: ``now_true`` gives each as it holds now, or None when
        it is over; then nothing but its number is left."""
        for letter in (*self._sent.values(), *self._urgent):
            if letter.gap is None and isinstance(letter.message, URGENT):
                message = now_true(letter.message)
                if message is None:
                    letter.become_gap(GapCause.RELEASED)
                else:
                    letter.message = message
        ended = [letter for letter in self._urgent if letter.gap is not None]
        self._urgent = [letter for letter in self._urgent if letter.gap is None]
        self._held -= len(ended)

    def renumber(self) -> None:
        """A new session: what is unacknowledged waits again, in order, and numbers begin at 1."""
        repeat = [x for x in self._sent.values() if x.gap in (None, GapCause.LOST)]
        self._held -= sum(1 for x in self._sent.values() if x.gap in (GapCause.RELEASED, GapCause.EXPIRED))
        self._urgent = [*(x for x in repeat if isinstance(x.message, URGENT)), *self._urgent]
        self._queue = deque([*(x for x in repeat if not isinstance(x.message, URGENT)), *self._queue])
        self._vital = sum(isinstance(x.message, VITAL) for x in self._queue)
        self._sent.clear()
        self._resend = ()
        self.next_seq, self.acked = 1, 0

    def absorb(self, other: "Outbox") -> None:
        """Takes over what waits, unsent, in another outbox."""
        for letter in (*other._urgent, *other._queue):
            if letter.gap is None:
                self.put(letter)

    # --- looking --------------------------------------------------------------------------------------------------

    @property
    def unacked(self) -> int:
        return len(self._sent)

    @property
    def waiting(self) -> int:
        return len(self._urgent) + len(self._queue) + len(self._resend)

    @property
    def is_full(self) -> bool:
        """Whether an ordinary message would be lost."""
        return self._held >= self.capacity - RESERVED

    @property
    def held(self) -> int:
        return self._held

    def messages(self, wanted: Callable[[Any], bool] = lambda _: True) -> list[Any]:
        """The lossless messages held, oldest first."""
        letters = (*self._sent.values(), *self._urgent, *self._queue)
        return [x.message for x in letters if x.gap is None and not x.conflated and wanted(x.message)]
