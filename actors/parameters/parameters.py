"""Live parameters: asked for by version, bounded by the strategy's envelope, confirmed by the engine's own echo.

A change is noted in the database (and audited) before it is sent, answered while pending, and ends once: applied,
failed with a reason, or expired after 10 s; an engine's word that comes later is shown as applied late, with an alert.
When an engine says hello with other values than wanted, its strategy is held at REDUCE_ONLY and they are sent again.
"""

import secrets
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

import attrs
import trio

from actors.board import Board
from actors.fleet.fleet import FleetBoard
from actors.links.messages import DeliverUpdate, EngineAdmitted, HoldStrategy, LiftHold, UpdateAnswered, UpdateRefused
from actors.live.hub import Hub
from actors.parameters.rules import NO_REASON, loosens, outcome_of, refuse_outside, result_of, result_unnoted, same
from actors.parameters.store import ParameterStore, wanted
from actors.requests import ChangeParameters, GetParameters, Principal, Refusal, RollBackParameters
from actors.stops.effects import RaiseAlert
from actors.stops.shelf import StopShelf
from store.errors import StaleVersion, StoreError
from store.parameters import EffectiveRow, Outcome, VersionRow, Wanted
from supervisor.actor import Actor, Reply, handles
from supervisor.message import DEFERRED
from wire.messages import ParameterResult, ParameterUpdate
from wire.parts import StrategyReport
from wire.rest.access import Role
from wire.rest.strategies import StrategyParameters, UpdateResult, UpdateStatus
from wire.stops import Level
from wire.ui import Topic
from wire.values import Parameters

ANSWER_SECONDS = 10.0
STORE_SECONDS = 8.0
TICK_SECONDS = 0.25
STALE_EPOCH = "error_stale_epoch"
RETRY_SECONDS = 2.0


@attrs.define(kw_only=True)
class Flight:
    """One change on its way to an engine, and when nobody waits for its answer any more (monotonic)."""

    row: VersionRow
    base_version: int
    expires_at: float
    again: bool = False
    of_hello: bool = False

    @property
    def engine_id(self) -> str:
        return self.row.engine_id


class _Tick:
    pass


class ParameterDesk(Actor):
    """``hold`` tells the stop coordinator to hold a strategy, or that a hold may end."""

    def __init__(
        self,
        store: ParameterStore,
        board: Board[UpdateResult],
        fleet: FleetBoard,
        shelf: StopShelf,
        hub: Hub,
        *,
        alert: Callable[[RaiseAlert], object],
        hold: Callable[[HoldStrategy | LiftHold], object],
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._board = board
        self._fleet = fleet
        self._shelf = shelf
        self._hub = hub
        self._alert = alert
        self._hold = hold
        self._wall = wall
        self._flights: dict[str, Flight] = {}
        self._unchecked: dict[str, EngineAdmitted] = {}
        self._checking = False
        self._unsettled: deque[Outcome] = deque(maxlen=10_000)
        self._settle_at = 0.0

    async def started(self) -> None:
        self.context.every(_Tick(), period=TICK_SECONDS)
        self.context.spawn(self._recall, name="pending")

    # --- what people ask: beside the handlers, since it asks the database ---

    @handles(ChangeParameters)
    async def on_change(self, msg: ChangeParameters) -> UpdateResult | Refusal:
        self.context.spawn(self._answer, self.context.defer(), self._change, msg, name="change")
        return cast("UpdateResult | Refusal", DEFERRED)

    @handles(RollBackParameters)
    async def on_roll_back(self, msg: RollBackParameters) -> UpdateResult | Refusal:
        self.context.spawn(self._answer, self.context.defer(), self._roll_back, msg, name="roll back")
        return cast("UpdateResult | Refusal", DEFERRED)

    @handles(GetParameters)
    async def on_get(self, msg: GetParameters) -> StrategyParameters | Refusal:
        self.context.spawn(self._answer, self.context.defer(), self._get, msg, name="read")
        return cast("StrategyParameters | Refusal", DEFERRED)

    async def _answer(self, reply: Reply, work: Callable[..., object], msg: object) -> None:
        answer: object = _away("it does not answer in time")
        with trio.move_on_after(STORE_SECONDS):
            try:
                answer = await work(msg)  # type: ignore[misc]  # every one of the three is a coroutine function
            except StaleVersion as error:
                reason = f"the parameters are at version {error.current} now"
                answer = Refusal(status=412, error="error_version_conflict", reason=reason, field="If-Match")
            except StoreError as error:
                answer = _away(str(error))
        reply.send(answer)

    async def _change(self, msg: ChangeParameters) -> UpdateResult | Refusal:
        change = msg.change
        current = await wanted(self._store, self._fleet, msg.engine_id, change.strategy_id)
        if isinstance(current, Refusal):
            return current
        return await self._ask(
            msg.principal,
            msg.engine_id,
            change.strategy_id,
            change.parameters,
            current,
            msg.expected_version,
            change.request_id or f"update-{secrets.token_hex(12)}",
        )

    async def _roll_back(self, msg: RollBackParameters) -> UpdateResult | Refusal:
        strategy_id = msg.request.strategy_id
        current = await wanted(self._store, self._fleet, msg.engine_id, strategy_id)
        if isinstance(current, Refusal):
            return current
        old = await self._store.version(msg.engine_id, strategy_id, msg.request.version)
        if old is None:
            return Refusal(
                status=404, error="error_unknown_version", reason="there is no such version", field="version"
            )
        return await self._ask(
            msg.principal, msg.engine_id, strategy_id, old.parameters, current, msg.expected_version, msg.request_id
        )

    async def _ask(
        self,
        who: Principal,
        engine_id: str,
        strategy_id: str,
        change: Parameters,
        current: StrategyParameters,
        expected_version: int,
        request_id: str,
    ) -> UpdateResult | Refusal:
        refusal = refuse_outside(change, current.parameter_schema) or self._refuse_role(
            who, engine_id, strategy_id, change, current
        )
        if refusal is not None:
            return refusal
        row = await self._store.propose(
            Wanted(
                engine_id=engine_id,
                strategy_id=strategy_id,
                request_id=request_id,
                parameters={**current.desired, **change},
                user_id=who.user_id,
                at=self._wall(),
                expected_version=expected_version,
            )
        )
        if not _is_of(row, who, engine_id, strategy_id, change):
            return Refusal(
                status=422,
                error="error_idempotency_conflict",
                reason="this request_id (or Idempotency-Key) stands for another change",
                field="request_id",
            )
        result = result_of(row)
        if row.status is UpdateStatus.PENDING and row.request_id not in self._flights:
            flight = Flight(row=row, base_version=row.base_version, expires_at=trio.current_time() + ANSWER_SECONDS)
            self._flights[row.request_id] = flight
            self._show(result)
            self._send(row.request_id, flight)
        return result

    def _refuse_role(
        self, who: Principal, engine_id: str, strategy_id: str, change: Parameters, current: StrategyParameters
    ) -> Refusal | None:
        if who.role.may(Role.RISK):
            return None
        if self._level(engine_id, strategy_id) > Level.NORMAL:
            return _needs_risk("any change while stopped needs the risk role")
        known = current.effective if current.effective is not None else current.desired
        looser = loosens(change, known, current.parameter_schema)
        return _needs_risk(f"taking more risk ({', '.join(looser)}) needs the risk role") if looser else None

    async def _get(self, msg: GetParameters) -> StrategyParameters | Refusal:
        return await wanted(self._store, self._fleet, msg.engine_id, msg.strategy_id)

    # --- what engines answer ---

    @handles(UpdateAnswered)
    async def on_answered(self, msg: UpdateAnswered) -> None:
        self.context.spawn(self._settle_answer, msg.engine_id, msg.result, name="answer")

    @handles(UpdateRefused)
    async def on_refused(self, msg: UpdateRefused) -> None:
        flight = self._flights.get(msg.request_id)
        if flight is not None and flight.engine_id == msg.engine_id:
            outcome = self._outcome(
                flight.row.request_id, UpdateStatus.FAILED, msg.nack.code, msg.nack.reason or NO_REASON
            )
            del self._flights[msg.request_id]
            self.context.spawn(self._settle, flight.row, outcome, name="refusal")

    async def _settle_answer(self, engine_id: str, result: ParameterResult) -> None:
        flight = self._flights.get(result.request_id)
        if flight is not None and (flight.engine_id != engine_id or self._sends_again(result, flight)):
            return
        self._flights.pop(result.request_id, None)
        status, error, reason = outcome_of(result, flight.row.parameters if flight is not None else {})
        if flight is not None and flight.of_hello:
            self._reconciled(flight, status, reason)
            return
        row = flight.row if flight is not None else None
        outcome = self._outcome(row.request_id if row else result.request_id, status, error, reason)
        await self._settle(row, attrs.evolve(outcome, effective=result.parameters or None))

    def _sends_again(self, result: ParameterResult, flight: Flight) -> bool:
        """A stop came in between. Once, and under another name (an engine answers a known one from memory)."""
        if result.error != STALE_EPOCH or flight.again:
            return False
        if self._level(flight.engine_id, flight.row.strategy_id) > Level.NORMAL:
            return False
        self._flights.pop(result.request_id, None)
        again = Flight(row=flight.row, base_version=flight.base_version, expires_at=flight.expires_at, again=True)
        request_id = f"again-{secrets.token_hex(12)}"
        self._flights[request_id] = again
        self._send(request_id, again)
        return True

    async def _settle(self, row: VersionRow | None, outcome: Outcome) -> None:
        """Ends a change, once. What the database cannot take now is shown already, and noted when it can."""
        try:
            noted = await self._store.settle(outcome)
        except StoreError:
            self._unsettled.append(outcome)
            if row is not None:
                self._ended(result_unnoted(row, outcome))
            return
        if noted is not None:
            self._ended(result_of(noted))

    def _ended(self, result: UpdateResult) -> None:
        self._show(result)
        if result.status is UpdateStatus.APPLIED_LATE:
            self._warn(
                result.engine_id, "error_applied_late", f"{result.strategy_id} was changed after it was given up"
            )
        if result.status in (UpdateStatus.APPLIED, UpdateStatus.APPLIED_LATE):
            self._hold(LiftHold(engine_id=result.engine_id, strategy_id=result.strategy_id))

    def _reconciled(self, flight: Flight, status: UpdateStatus, reason: str | None) -> None:
        """How sending the wanted values again ended; the change itself was settled long ago."""
        engine_id, strategy_id = flight.engine_id, flight.row.strategy_id
        if status is UpdateStatus.APPLIED:
            self._hold(LiftHold(engine_id=engine_id, strategy_id=strategy_id))
        else:
            self._warn(engine_id, "error_parameters_differ", f"{strategy_id} stays held: {reason or NO_REASON}")

    def _warn(self, engine_id: str, code: str, reason: str) -> None:
        self._alert(RaiseAlert(code=code, severity="warning", reason=reason, engine_id=engine_id))

    # --- hello: does the engine run what is wanted? ---

    @handles(EngineAdmitted)
    async def on_admitted(self, msg: EngineAdmitted) -> None:
        self._unchecked[msg.engine_id] = msg
        for flight_id, flight in self._flights.items():
            if flight.engine_id == msg.engine_id:
                self._send(flight_id, flight)
        self._check_soon()

    @handles(_Tick)
    async def on_tick(self, _msg: _Tick) -> None:
        now = trio.current_time()
        for flight_id, flight in list(self._flights.items()):
            if now >= flight.expires_at:
                self._expire(flight_id, flight)
        if self._unsettled and now >= self._settle_at:
            self._settle_at = now + RETRY_SECONDS
            self.context.spawn(self._settle, None, self._unsettled.popleft(), name="late note")
        self._check_soon()

    def _expire(self, flight_id: str, flight: Flight) -> None:
        reason = "the engine did not answer within 10 s"
        del self._flights[flight_id]
        if flight.of_hello:
            self._reconciled(flight, UpdateStatus.EXPIRED, reason)
            return
        outcome = self._outcome(flight.row.request_id, UpdateStatus.EXPIRED, "error_timeout", reason)
        self.context.spawn(self._settle, flight.row, outcome, name="expiry")

    def _check_soon(self) -> None:
        if self._unchecked and not self._checking:
            self._checking = True
            self.context.spawn(self._check, name="hello")

    async def _check(self) -> None:
        """Waits for the database: until it can be asked, what is wanted is not known."""
        try:
            while self._unchecked:
                engine_id, admitted = next(iter(self._unchecked.items()))
                await self._compare(engine_id, admitted.hello.strategies)
                if self._unchecked.get(engine_id) is admitted:
                    del self._unchecked[engine_id]
        except StoreError:
            await trio.sleep(1.0)
        finally:
            self._checking = False

    async def _compare(self, engine_id: str, reports: list[StrategyReport]) -> None:
        if not reports:
            return
        heads = {h.strategy_id: h for h in await self._store.heads(engine_id)}
        for report in reports:
            await self._store.note_effective(
                EffectiveRow(
                    engine_id=engine_id,
                    strategy_id=report.id,
                    version=report.version,
                    parameters=report.parameters,
                    parameter_schema=report.parameter_schema,
                    at=self._wall(),
                )
            )
            head = heads.get(report.id)
            if head is None:
                await self._note_first(engine_id, report)
            elif same(head.parameters, report.parameters):
                await self._agrees(head)
            elif head.status is not UpdateStatus.PENDING:
                self._differs(head, report)

    async def _note_first(self, engine_id: str, report: StrategyReport) -> None:
        if report.parameters:
            await self._store.propose(
                Wanted(
                    engine_id=engine_id,
                    strategy_id=report.id,
                    request_id=f"hello-{secrets.token_hex(12)}",
                    parameters=report.parameters,
                    user_id=engine_id,
                    at=self._wall(),
                    expected_version=None,
                    status=UpdateStatus.APPLIED,
                )
            )

    async def _agrees(self, head: VersionRow) -> None:
        if head.status is UpdateStatus.PENDING:
            outcome = self._outcome(head.request_id, UpdateStatus.APPLIED, None, None)
            self._flights.pop(head.request_id, None)
            await self._settle(head, attrs.evolve(outcome, effective=head.parameters))
        self._hold(LiftHold(engine_id=head.engine_id, strategy_id=head.strategy_id))

    def _differs(self, head: VersionRow, report: StrategyReport) -> None:
        reason = f"the engine reports other parameters than version {head.version}, which is wanted"
        self._hold(HoldStrategy(engine_id=head.engine_id, strategy_id=head.strategy_id, reason=reason))
        flight = Flight(
            row=head, base_version=report.version, expires_at=trio.current_time() + ANSWER_SECONDS, of_hello=True
        )
        request_id = f"wanted-{secrets.token_hex(12)}"
        self._flights[request_id] = flight
        self._send(request_id, flight)

    async def _recall(self) -> None:
        """Changes that were pending when the last platform ended: nobody waits for them any more."""
        while True:
            try:
                for row in await self._store.pending():
                    if row.request_id not in self._flights:
                        reason = "the platform was restarted before the engine answered"
                        outcome = self._outcome(row.request_id, UpdateStatus.EXPIRED, "error_restarted", reason)
                        await self._settle(row, outcome)
                return
            except StoreError:
                await trio.sleep(1.0)

    # --- sending and showing ---

    def _send(self, request_id: str, flight: Flight) -> None:
        link = self._shelf.links.get(flight.engine_id)
        left = flight.expires_at - trio.current_time()
        if link is None or left <= 0:
            return
        message = ParameterUpdate(
            request_id=request_id,
            strategy_id=flight.row.strategy_id,
            parameters=flight.row.parameters,
            version=flight.row.version,
            base_version=flight.base_version,
            stop_epoch=self._shelf.book.register.epoch,
            expires_ms=round(left * 1000),
        )
        link.tell(DeliverUpdate(message=message, expires_at=flight.expires_at))

    def _show(self, result: UpdateResult) -> None:
        self._board.put(result.request_id, result)
        self._hub.publish(Topic.PARAMETERS, result, key=result.request_id)

    def _level(self, engine_id: str, strategy_id: str) -> Level:
        book = self._shelf.book
        return book.register.level_for(engine_id, book.roster.account(engine_id), strategy_id)

    def _outcome(self, request_id: str, status: UpdateStatus, error: str | None, reason: str | None) -> Outcome:
        return Outcome(request_id=request_id, status=status, at=self._wall(), error=error, reason=reason)


def _needs_risk(reason: str) -> Refusal:
    return Refusal(status=403, error="error_risk_role_required", reason=reason)


def _away(reason: str) -> Refusal:
    return Refusal(status=503, error="error_database_unavailable", reason=f"parameters need the database: {reason}")


def _is_of(row: VersionRow, who: Principal, engine_id: str, strategy_id: str, change: Parameters) -> bool:
    """Whether a stored version is what this very request led to, now or when it was sent before."""
    asked = (row.engine_id, row.strategy_id, row.user_id) == (engine_id, strategy_id, who.user_id)
    return asked and all(row.parameters.get(key) == value for key, value in change.items())
