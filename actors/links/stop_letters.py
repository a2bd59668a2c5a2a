"""The stops of one connection: which of them the engine knows, and which letters still wait to be written. Pure."""

import secrets
from collections.abc import Sequence

from actors.links.places import Place
from wire.messages import EmergencyStop


class StopLetters:
    """``known``: the stops that the engine had when it came, was sent, or told of."""

    __slots__ = ("_place", "_unwritten", "known")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._unwritten: list[tuple[str, int]] = []
        self.known: set[str] | tuple[()] = ()

    def name(self, message: EmergencyStop) -> str:
        """Each sending is a letter of its own: a repetition must not die as a duplicate."""
        letter_id = f"stop-{secrets.token_hex(12)}"
        self._place.remember(letter_id, message.stop_id, message.stop_epoch)
        self.learnt(message.stop_id)
        return letter_id

    def learnt(self, stop_id: str) -> None:
        self.known = {*self.known, stop_id}

    def waits(self, message: EmergencyStop) -> None:
        """It is on its way and not yet at the socket."""
        self._unwritten.append((message.stop_id, message.stop_epoch))

    def is_waiting(self, message: EmergencyStop) -> bool:
        return (message.stop_id, message.stop_epoch) in self._unwritten

    def written(self) -> Sequence[tuple[str, int]]:
        """Nothing waits to be written any more: the stops, by id and epoch, that have left so. Told once."""
        if not self._unwritten:
            return ()
        written, self._unwritten = self._unwritten, []
        return written
