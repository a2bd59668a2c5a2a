"""What a person says about single strategies: pause, resume, and small orders for a while after a release."""

from datetime import UTC, datetime, timedelta

import pytest

from wire.messages import EmergencyStop, Release, StrategyCommand
from wire.parts import Reduced
from wire.sdk.gate import Gate
from wire.sdk.halting import Halting
from wire.sdk.identity import Identity
from wire.sdk.keeper import Keeper
from wire.sdk.latch import Latch
from wire.sdk.lease import Lease
from wire.sdk.settings import Settings
from wire.stops import Level, Scope
from wire.values import LatchState, ResultStatus, StrategyAction, StrategyState

START = datetime(2026, 11, 20, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.mono, self.at = 100.0, START

    def now(self):
        return self.mono

    def wall(self):
        return self.at

    def pass_(self, seconds):
        self.mono += seconds
        self.at += timedelta(seconds=seconds)


class Trading:
    def freeze(self, _stop):
        pass

    def orphaned(self):
        return []

    def unresolved(self, _scope):
        return 0


class Engine:
    """One engine's stops, and its files in a folder."""

    def __init__(self, folder, *, clock=None, latch=None):
        self.clock = clock or Clock()
        self.said = []
        self.gate = Gate(engine_id="E1", account_id="A1", lease=Lease(), reducible=lambda *_asked: 0)
        self.settings = Settings(folder / "settings.json")
        intact = self.settings.load()
        self.halting = Halting(
            identity=Identity(engine_id="E1", account_id="A1", name="E1"),
            clock=self.clock,
            gate=self.gate,
            outlet=self,
            trading=Trading(),
            latch=latch or Latch(),
            state=LatchState.PRESENT,
            keeper=self.keeper(),
            settings=self.settings,
            settings_keeper=self.keeper(),
            strategies=["ma", "rsi"],
        )
        self.halting.resume(knows_paused=intact)

    def keeper(self):
        return Keeper(encode=lambda: b"", write=lambda _data: None, failed=lambda _error: None)

    def send(self, message):
        self.said.append(message)

    def restarted(self, folder, *, after=0.0, wall=None):
        """Another process over the same files; its own clock began somewhere else."""
        self.settings.write(self.settings.encode())
        clock = Clock()
        clock.mono, clock.at = 5.0, wall or self.clock.at + timedelta(seconds=after)
        return Engine(folder, clock=clock, latch=self.halting.latch)

    def stop(self, stop_id="x", *, level=Level.HALT, scope="all"):
        epoch = self.gate.register.epoch + 1
        self.halting.stop(
            EmergencyStop(
                stop_id=stop_id, stop_epoch=epoch, scope=Scope.parse(scope), level=level, proof="", timeout_ms=1,
                reason="r", user_id="u",
            )
        )  # fmt: skip

    def release(self, stop_id="x", *, resume=True, reduced=None):
        epoch = self.gate.register.epoch + 1
        self.halting.release(Release(stop_ids=[stop_id], epoch=epoch, effective=[], resume=resume, reduced=reduced))

    def command(self, action, *, strategy="ma", epoch=None, reduced=None):
        epoch = self.gate.register.epoch if epoch is None else epoch
        command = StrategyCommand(
            request_id="c", strategy_id=strategy, action=action, stop_epoch=epoch, expires_ms=1000, reduced=reduced
        )
        return self.halting.command(command)


@pytest.fixture
def engine(tmp_path):
    return Engine(tmp_path)


def test_one_strategy_is_paused_over_a_restart_and_goes_on(engine, tmp_path):
    told = engine.command(StrategyAction.PAUSE)
    assert (told.status, told.strategy_status) == (ResultStatus.APPLIED, StrategyState.PAUSED)
    again = engine.restarted(tmp_path)
    assert again.gate.paused == {"ma"}
    told = again.command(StrategyAction.RESUME)
    assert (told.status, told.strategy_status) == (ResultStatus.APPLIED, StrategyState.ACTIVE)
    assert again.gate.paused == set()


def test_where_nobody_knows_who_was_paused_all_are_until_a_person_resumes_them(engine, tmp_path):
    engine.command(StrategyAction.PAUSE)
    (tmp_path / "settings.json").write_bytes(b'{"tuned": []}')
    again = Engine(tmp_path, clock=Clock(), latch=engine.halting.latch)
    assert again.gate.paused == {"ma", "rsi"}
    again.stop("x")
    again.release("x", resume=True)
    assert again.gate.paused == {"ma", "rsi"}
    assert again.command(StrategyAction.RESUME).strategy_status is StrategyState.ACTIVE
    assert again.restarted(tmp_path).gate.paused == {"rsi"}


def test_what_a_stop_has_paused_goes_on_by_a_later_word_only(engine):
    decided_before = engine.gate.register.epoch
    engine.stop()
    held = engine.command(StrategyAction.RESUME)
    assert held.error == "error_stopped"
    engine.release(resume=False)
    late = engine.command(StrategyAction.RESUME, epoch=decided_before)
    assert (late.error, late.strategy_status) == ("error_stale_epoch", StrategyState.PAUSED)
    assert engine.gate.paused == {"ma", "rsi"}
    assert engine.command(StrategyAction.RESUME).status is ResultStatus.APPLIED
    assert engine.gate.paused == {"rsi"}


def test_what_a_person_has_paused_goes_on_by_no_release(engine, tmp_path):
    engine.command(StrategyAction.PAUSE)
    again = engine.restarted(tmp_path)
    again.stop()
    again.release(resume=True)
    assert again.gate.paused == {"ma"}
    assert again.command(StrategyAction.RESUME).strategy_status is StrategyState.ACTIVE
    again.stop("y")
    again.release("y", resume=True)
    assert again.gate.paused == set()


def test_a_pause_is_never_refused_for_a_stop_and_an_unknown_strategy_always(engine):
    engine.stop()
    assert engine.command(StrategyAction.PAUSE, epoch=0).status is ResultStatus.APPLIED
    assert engine.command(StrategyAction.PAUSE, strategy="none").error == "error_unknown_strategy"


@pytest.mark.parametrize(("scope", "covered"), [("all", {"ma", "rsi"}), ("strategy:E1/ma", {"ma"})])
def test_a_release_with_reduced_limits_holds_what_the_stop_covered(engine, scope, covered):
    engine.stop(scope=scope)
    engine.release(reduced=Reduced(for_ms=60_000, max_order_value=1_000))
    assert engine.gate.reduced.keys() == covered
    limit = engine.gate.reduced["ma"]
    assert (limit.until, limit.max_order_value) == (160.0, 1_000)


def test_reduced_limits_hold_over_a_restart_for_the_rest_of_their_time(engine, tmp_path):
    engine.stop()
    engine.release(reduced=Reduced(for_ms=60_000, max_order_value=1_000))
    again = engine.restarted(tmp_path, after=20.0)
    assert again.gate.reduced["ma"].until == again.clock.now() + 40.0
    assert engine.restarted(tmp_path, after=61.0).gate.reduced["ma"].until < 5.0
    # A clock that was set back a day makes it two hours, and not a day.
    back = engine.restarted(tmp_path, wall=START - timedelta(days=1))
    assert back.gate.reduced["ma"].until == back.clock.now() + 7200


def test_a_strategy_may_go_on_with_small_orders_for_a_while(engine, tmp_path):
    careful = Reduced(for_ms=60_000, max_order_value=1_000)
    engine.command(StrategyAction.PAUSE)
    assert engine.command(StrategyAction.PAUSE, reduced=careful).status is ResultStatus.APPLIED
    engine.stop()
    assert engine.command(StrategyAction.RESUME, reduced=careful).error == "error_stopped"
    assert engine.gate.reduced == {}  # neither a pause nor what is refused reduces anything
    engine.release()
    assert engine.command(StrategyAction.RESUME, reduced=careful).strategy_status is StrategyState.ACTIVE
    assert {s: (r.until, r.max_order_value) for s, r in engine.gate.reduced.items()} == {"ma": (160.0, 1_000)}
    assert engine.restarted(tmp_path, after=20.0).gate.reduced["ma"].until == 45.0
    engine.command(StrategyAction.RESUME, reduced=Reduced(for_ms=1_000, max_order_value=9_000))
    assert (engine.gate.reduced["ma"].until, engine.gate.reduced["ma"].max_order_value) == (160.0, 1_000)
    engine.command(StrategyAction.RESUME)  # without limits is no word about those that still hold
    assert engine.gate.reduced["ma"].until == 160.0


def test_a_second_release_loosens_nothing_that_still_holds(engine):
    for most, minutes in ((1_000, 60), (5_000, 90), (500, 1)):
        engine.stop(f"s{most}")
        engine.release(f"s{most}", reduced=Reduced(for_ms=minutes * 60_000, max_order_value=most))
    assert (engine.gate.reduced["ma"].until, engine.gate.reduced["ma"].max_order_value) == (100.0 + 5400, 500)
    engine.clock.pass_(6000)
    engine.stop("later")
    engine.release("later", reduced=Reduced(for_ms=60_000, max_order_value=9_000))
    assert engine.gate.reduced["ma"].max_order_value == 9_000


def test_settings_of_an_earlier_version_are_read(tmp_path, engine):
    engine.settings.write(b'{"tuned": {}, "paused": ["ma"], "executed": {}}')
    fresh = Settings(tmp_path / "settings.json")
    assert fresh.load()
    assert (fresh.paused, fresh.reduced) == ({"ma"}, {})
