"""Which stops an engine holds, and what alone ends them: one register on the engine's side of the link."""

from datetime import UTC, datetime

import pytest

from wire.messages import EmergencyStop, LocalStop, Release, StopProgress
from wire.sdk.gate import Gate
from wire.sdk.halting import MOST_OWN, Halting
from wire.sdk.identity import Identity
from wire.sdk.keeper import Keeper
from wire.sdk.latch import Latch
from wire.sdk.lease import Lease
from wire.sdk.settings import Settings
from wire.stops import Level, Scope, StopRecord, StopSnapshot
from wire.values import LatchState, LocalStopCause, StopPhase

P = StopPhase


class Clock:
    def now(self):
        return 100.0

    def wall(self):
        return datetime(2026, 11, 20, tzinfo=UTC)


class Trading:
    """Remembers in which state of the gate it was frozen."""

    def __init__(self):
        self.frozen_at = []
        self.gate = None

    def freeze(self, _stop):
        self.frozen_at.append(self.gate.level_for("ma", "005930"))

    def orphaned(self):
        return []

    def unresolved(self, _scope):
        return 0


class Engine:
    def __init__(self, folder, *, latch=None, state=LatchState.PRESENT):
        self.said, self.trading = [], Trading()
        self.gate = self.trading.gate = Gate(
            engine_id="E1", account_id="A1", lease=Lease(), reducible=lambda *_asked: 0
        )
        settings = Settings(folder / "settings.json")
        self.keeper = self.new_keeper()
        self.halting = Halting(
            identity=Identity(engine_id="E1", account_id="A1", name="E1"),
            clock=Clock(),
            gate=self.gate,
            outlet=self,
            trading=self.trading,
            latch=latch or Latch(),
            state=state,
            keeper=self.keeper,
            settings=settings,
            settings_keeper=self.new_keeper(),
            strategies=["ma"],
        )
        self.halting.resume()

    def new_keeper(self):
        return Keeper(encode=lambda: b"", write=lambda _data: None, failed=lambda _error: None)

    def send(self, message):
        self.said.append(message)

    def stop(self, stop_id="x", *, epoch, level=Level.HALT):
        self.halting.stop(
            EmergencyStop(
                stop_id=stop_id, stop_epoch=epoch, scope=Scope.everything(), level=level, proof="", timeout_ms=1,
                reason="r", user_id="u",
            )
        )  # fmt: skip

    def release(self, *stop_ids, epoch):
        self.halting.release(Release(stop_ids=list(stop_ids), epoch=epoch, effective=[], resume=True))

    def hears(self, *, epoch, effective=(), released=(), trusted=True):
        snapshot = StopSnapshot(epoch=epoch, effective=list(effective), released=list(released))
        return self.halting.adopt(snapshot, trusted=trusted)

    def phases(self, stop_id="x"):
        return [m.phase for m in self.said if isinstance(m, StopProgress) and m.stop_id == stop_id]

    @property
    def level(self):
        return self.gate.level_for("ma", "005930")


@pytest.fixture
def engine(tmp_path):
    return Engine(tmp_path)


def test_a_stop_released_before_it_came_is_answered_superseded_and_not_executed(engine):
    engine.stop(epoch=3)
    engine.release("x", epoch=4)
    frozen, version = list(engine.trading.frozen_at), engine.keeper.version
    for late in (3, 4):  # one more copy of what was released, from whichever outbox
        engine.stop(epoch=late)
        assert engine.phases()[-1] is P.SUPERSEDED
    assert (engine.level, engine.trading.frozen_at, engine.keeper.version) == (Level.NORMAL, frozen, version)
    engine.stop(epoch=5)  # the same stop, wanted again after that release
    assert engine.level is Level.HALT


def test_epochs_may_jump_and_come_in_any_order(engine):
    engine.stop("far", epoch=9_000)
    assert engine.gate.register.epoch == 9_000
    engine.stop("near", epoch=7, level=Level.CANCEL)  # decided earlier, came later: a stop all the same
    assert engine.level is Level.CANCEL
    engine.release("near", epoch=20)
    assert engine.level is Level.HALT
    engine.release("far", epoch=8_999)  # decided before that stop was raised
    assert engine.level is Level.HALT
    engine.release("far", epoch=70_000)
    assert (engine.level, engine.gate.register.epoch) == (Level.NORMAL, 70_000)


def test_a_frame_that_does_not_mention_a_stop_ends_it_as_little_as_an_old_or_foreign_one(engine):
    engine.stop(epoch=5)
    engine.hears(epoch=50)
    engine.hears(epoch=4, released=["x"])
    engine.hears(epoch=50, released=["another"])
    engine.hears(epoch=50, released=["x"], trusted=False)
    assert engine.level is Level.HALT
    assert [s.record.stop_id for s in engine.halting.latch.open_stops()] == ["x"]
    engine.hears(epoch=50, released=["x"])
    assert engine.level is Level.NORMAL


def test_what_a_frame_says_is_in_force_is_a_stop_like_any_other_and_a_foreign_platform_may_say_it(engine):
    record = StopRecord(stop_id="x", scope=Scope.of_engine("E1"), level=Level.CANCEL, stop_epoch=5)
    assert engine.hears(epoch=5, effective=[record], trusted=False)
    assert (engine.level, engine.phases()) == (Level.CANCEL, [P.FROZEN])
    assert not engine.hears(epoch=5, effective=[record])


def test_the_gate_is_closed_before_anything_else_learns_of_the_stop(engine):
    engine.stop(epoch=1, level=Level.FLATTEN)
    assert engine.trading.frozen_at == [Level.FLATTEN]
    first = next(m for m in engine.said if isinstance(m, StopProgress))
    assert (first.phase, first.latched) == (P.FROZEN, False)
    assert not engine.halting.is_safe("x")


@pytest.mark.parametrize("cause", LocalStopCause)
def test_an_engine_s_own_stop_has_its_id_level_and_cause_and_holds_like_any_other(engine, cause):
    engine.stop("old", epoch=8)
    engine.release("old", epoch=9)
    stop_id = engine.halting.stop_here(Level.CANCEL, cause, "why")
    (told,) = [m for m in engine.said if isinstance(m, LocalStop)]
    assert (told.id, told.level, told.cause, told.reason) == (stop_id, Level.CANCEL, cause, "why")
    (held,) = engine.halting.latch.open_stops()
    assert (held.record.scope, held.cause) == (Scope.of_engine("E1"), cause)
    assert held.record.stop_epoch > 9
    engine.hears(epoch=50)
    assert engine.level is Level.CANCEL
    engine.release(stop_id, epoch=51)
    assert engine.level is Level.NORMAL


def test_a_latch_that_cannot_be_read_halts_until_that_very_stop_is_released(tmp_path):
    engine = Engine(tmp_path, state=LatchState.CORRUPT)
    (told,) = [m for m in engine.said if isinstance(m, LocalStop)]
    assert (told.level, engine.level) == (Level.HALT, Level.HALT)
    engine.stop("x", epoch=9)
    engine.release("x", epoch=10)
    assert (engine.level, engine.halting.latch_state) == (Level.HALT, LatchState.CORRUPT)
    engine.release(told.id, epoch=11)
    assert engine.level is Level.NORMAL
    assert engine.halting.latch_state is LatchState.PRESENT  # a cut link does not halt it a second time


def test_an_engine_that_stops_itself_without_end_holds_no_more_stops_than_a_hello_can_tell(engine):
    risk = LocalStopCause.RISK
    ids = [engine.halting.stop_here(Level.HALT, risk, "loss") for _ in range(MOST_OWN + 5)]
    assert (len(set(ids)), len(engine.halting.latch.open_stops())) == (MOST_OWN, MOST_OWN)
    assert set(ids[MOST_OWN:]) == {ids[MOST_OWN - 1]}
    stricter = engine.halting.stop_here(Level.FLATTEN, risk, "more")
    assert stricter not in ids
    assert engine.gate.engine_level() is Level.FLATTEN
