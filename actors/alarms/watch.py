"""Looks at the fleet and at the platform once a second, and raises alerts and stops that nobody asked for.

All decisions are in ``conditions`` and ``triggers``; this actor gathers the facts, and sees to it that a stop that a
trigger asked for is taken although the coordinator may be restarting at that moment.
"""

import resource
import shutil
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
import trio

from actors.alarms.conditions import (
    LOST_SECONDS,
    Condition,
    EngineFacts,
    Exposure,
    MachineFacts,
    Vigil,
    not_judged,
    of_engine,
    of_machine,
    of_parts,
)
from actors.alarms.last_words import LastWord, read, write
from actors.alarms.triggers import Trigger, TriggerRules, Triggers
from actors.fleet.fleet import FleetBoard
from actors.fleet.row import EngineRow
from actors.platform.degraded import DegradedParts
from actors.requests import COORDINATOR, Principal, Refusal, TakeStop
from actors.stops.effects import RaiseAlert
from actors.stops.shelf import StopShelf
from actors.web.refusals import Refusals
from supervisor.actor import Actor, handles
from supervisor.errors import SupervisorError
from wire.rest.access import Role
from wire.rest.engines import Connection
from wire.values import BrokerToken, StopPhase

PERIOD = 1.0
MACHINE_PERIOD = 5.0
WRITE_SECONDS = 10.0
TAKE_SECONDS = 5.0
WAITING = 1000
LAST_WORDS = "last_words.json"
LAST_WORDS_PART = "last words"


class _Tick:
    pass


class Watch(Actor):
    """``alert`` passes on what people must know; ``machine`` measures (blocking, quick); ``file``: see last_words."""

    def __init__(
        self,
        board: FleetBoard,
        shelf: StopShelf,
        degraded: DegradedParts,
        refusals: Refusals,
        rules: TriggerRules,
        file: Path,
        *,
        alert: Callable[[RaiseAlert], object],
        machine: Callable[[], MachineFacts] | None = None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._board = board
        self._shelf = shelf
        self._degraded = degraded
        self._refusals = refusals
        self._file = file
        self._alert = alert
        self._measure = machine or (lambda: measured(file.parent))
        self._wall = wall
        self._vigil = Vigil()
        self._unjudged: set[str] = set()
        self._triggers = Triggers(rules)
        self._machine = MachineFacts()
        self._earlier: dict[str, LastWord] = {}
        self._words: dict[str, LastWord] = {}
        self._stops: deque[Trigger] = deque(maxlen=WAITING)
        self._bell = trio.Event()

    async def started(self) -> None:
        self._began = trio.current_time()
        earlier = await trio.to_thread.run_sync(read, self._file)
        if earlier is None:
            self._say_forgotten()
        self._earlier = earlier or {}
        self.context.every(_Tick(), period=PERIOD)
        self.context.spawn(self._measure_machine, name="machine")
        self.context.spawn(self._keep_words, name="last words")
        self.context.spawn(self._take_stops, name="triggered stops")

    def _say_forgotten(self) -> None:
        missing = [row.engine_id for row in self._board.rows.values() if row.seen_before]
        if missing:
            reason = f"what was at stake at {', '.join(missing[:10])} when they were last heard is not known"
            self._alert(RaiseAlert(code="error_last_words_lost", severity="warning", reason=reason))

    @handles(_Tick)
    async def on_tick(self, _msg: _Tick) -> None:
        now, wall = trio.current_time(), self._wall()
        found = [*of_machine(self._machine), *of_parts(self._degraded.parts())]
        unreachable = self._unreachable()
        for row in self._board.rows.values():
            try:
                conditions, trigger = self._judged(row, unreachable.get(row.engine_id), now, wall)
            except Exception as error:  # of one engine; the others are judged all the same
                conditions, trigger = self._not_judged(row.engine_id, error, now, wall)
            found += conditions
            if trigger is not None:
                self._stops.append(trigger)
                self._bell.set()
        for alert in self._vigil.look(found, now):
            self._alert(alert)

    def _judged(
        self, row: EngineRow, stop_id: str | None, now: float, wall: datetime
    ) -> tuple[list[Condition], Trigger | None]:
        word = self._word(row)
        facts = self._facts(row, word, stop_id, now, wall)
        trigger = self._triggers.look(facts, word.heard_at if word else None, now, wall)
        self._unjudged.discard(row.engine_id)
        return of_engine(facts), trigger

    def _not_judged(
        self, engine_id: str, error: Exception, now: float, wall: datetime
    ) -> tuple[list[Condition], Trigger | None]:
        if engine_id not in self._unjudged:
            self.context.log.exception("%s cannot be judged", engine_id)
        self._unjudged.add(engine_id)
        why = f"judging fails: {type(error).__name__}"
        return [not_judged(engine_id, why)], self._triggers.unjudged(engine_id, why, now, wall)

    # --- facts --------------------------------------------------------------------------------------------------------

    def _word(self, row: EngineRow) -> LastWord | None:
        """What the engine said last, in this run of the platform or an earlier one."""
        if row.heard is None:
            return self._earlier.get(row.engine_id)
        return LastWord(heard_at=row.heard.wall, exposure=exposure_of(row), goodbye=row.said_goodbye)

    def _facts(
        self, row: EngineRow, word: LastWord | None, stop_id: str | None, now: float, wall: datetime
    ) -> EngineFacts:
        connection = row.connection(now)
        health, beat = row.health, row.heartbeat
        is_here = connection is Connection.CONNECTED
        return EngineFacts(
            engine_id=row.engine_id,
            connection=connection,
            away=None if is_here or word is None else self._away(row, word, now, wall),
            said_goodbye=word.goodbye if word is not None else False,
            exposure=word.exposure if word is not None else Exposure(),
            stop_id=stop_id,
            returning=row.heard is None and now - self._began < LOST_SECONDS,
            skew_ms=row.skew_ms if is_here else None,
            broker_token=beat.clocks.broker_token if beat is not None and is_here else BrokerToken.NONE,
            cpu_usage=health.cpu_usage if health is not None and is_here else None,
            memory_usage=health.memory_usage if health is not None and is_here else None,
            refusals=self._refusals.count(row.engine_id, now),
        )

    def _away(self, row: EngineRow, word: LastWord, now: float, wall: datetime) -> float:
        """Seconds. After a restart nobody is away for longer than the platform could have heard them."""
        if row.heard is not None:
            return now - row.heard.mono
        return max(0.0, min((wall - word.heard_at).total_seconds(), now - self._began))

    def _unreachable(self) -> dict[str, str]:
        """For each engine an open stop that cannot reach it."""
        found: dict[str, str] = {}
        for stop_id, _entry in self._shelf.book.register.open_stops():
            run = self._shelf.book.runs.get(stop_id)
            for part in run.parts.values() if run is not None else ():
                if part.phase is StopPhase.UNREACHABLE:
                    found.setdefault(part.engine_id, stop_id)
        return found

    async def _measure_machine(self) -> None:
        while True:
            self._machine = await trio.to_thread.run_sync(self._measure)
            await trio.sleep(MACHINE_PERIOD)

    # --- last words ---------------------------------------------------------------------------------------------------

    async def _keep_words(self) -> None:
        """The file follows within a second what an engine has at stake, and within ten when it was heard."""
        written_at = -WRITE_SECONDS
        while True:
            await trio.sleep(PERIOD)
            words = {e: w for e, row in self._board.rows.items() if (w := self._word(row)) is not None}
            is_news = {e: (w.exposure, w.goodbye) for e, w in words.items()} != {
                e: (w.exposure, w.goodbye) for e, w in self._words.items()
            }
            if words == self._words or (not is_news and trio.current_time() - written_at < WRITE_SECONDS):
                continue
            try:
                await trio.to_thread.run_sync(write, self._file, words)
            except OSError as error:
                self._degraded.report(LAST_WORDS_PART, f"{self._file.name} cannot be written: {error.strerror}")
                continue
            self._degraded.restored(LAST_WORDS_PART)
            self._words, written_at = words, trio.current_time()

    # --- stops --------------------------------------------------------------------------------------------------------

    async def _take_stops(self) -> None:
        """Each until it is taken: asking again under the same id is harmless."""
        while True:
            if not self._stops:
                self._bell = trio.Event()
                await self._bell.wait()
            trigger = self._stops[0]
            asked = TakeStop(principal=self._principal(trigger), request=trigger.request, cause=trigger.cause)
            try:
                answer = await self.context.find(COORDINATOR).ask(asked, timeout=TAKE_SECONDS, urgent=True)
            except SupervisorError:
                await trio.sleep(0.1)
                continue
            self._stops.popleft()
            if isinstance(answer, Refusal):
                self.context.log.error("%s: no stop was taken: %s", trigger.cause, answer.reason)

    def _principal(self, trigger: Trigger) -> Principal:
        return Principal(user_id=trigger.cause, username=trigger.cause, role=Role.OPERATOR, auth_time=self._wall())


def exposure_of(row: EngineRow) -> Exposure:
    """What the engine's last positions say; a book that was not reconciled with the broker says nothing."""
    if row.positions is None or not row.positions.synced:
        return Exposure()
    return Exposure(positions=sum(1 for p in row.positions.items if p.quantity), orders=len(row.positions.open_orders))


def measured(home: Path) -> MachineFacts:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    used = psutil.Process().num_fds()
    return MachineFacts(
        memory_percent=psutil.virtual_memory().percent,
        descriptors_percent=100 * used / limit if 0 < limit < resource.RLIM_INFINITY else None,
        disk_free=shutil.disk_usage(home).free,
    )
