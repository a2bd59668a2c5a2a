"""When to dial again, and when never: full jitter, the platform's own wish, and what only a person can put right."""

import logging
import random

from wire.dialing import reconnect_delay
from wire.sdk.gate import Gate

_FINAL = (403, 404, 426)  # a person must look; 401 is answered with a new token

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


class Dialling:
    """``gave_up`` says why no other attempt is made; the gate then stays closed for good."""

    def __init__(self, gate: Gate, log: Logger, rng: random.Random) -> None:
        self._gate = gate
        self._log = log
        self._rng = rng
        self._attempt = 0
        self._asked: float | None = None
        self._told_away = False
        self._resumable = False
        self.gave_up = ""

    def welcomed(self, *, resumable: bool) -> None:
        """A conversation has begun; the first retry after its end may be quick when it can be resumed."""
        self._attempt, self._told_away, self._resumable = 0, False, resumable

    def asked_to_wait(self, pause_ms: int | None) -> None:
        """The platform wants the next attempt after this time."""
        self._asked = None if pause_ms is None else pause_ms / 1000

    def refused(self, status: int) -> None:
        """The platform answered the handshake with a status."""
        if status in _FINAL:
            self.give_up(f"the platform refuses this engine's link ({status})")
        else:
            self.away(f"the platform refused the link for now ({status})")

    def away(self, reason: str) -> None:
        """One clear line when it begins; the repetitions are details."""
        level = logging.INFO if self._told_away else logging.WARNING
        self._log.log(level, "%s: trying again; when the lease runs out no order leaves", reason)
        self._told_away = True

    def give_up(self, reason: str) -> None:
        """No retry can help."""
        self._log.error("%s. This engine stays halted; restart it after that.", reason)
        self._gate.fenced = "the platform does not want this engine"
        self.gave_up = reason

    def pause(self) -> float:
        """Seconds before the next attempt."""
        asked, self._asked = self._asked, None
        attempt, self._attempt = self._attempt, self._attempt + 1
        if asked is not None:
            return asked
        return reconnect_delay(attempt, resumable=self._resumable, rng=self._rng)
