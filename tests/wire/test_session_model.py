"""Histories of connects, cuts, restarts of either side and commits: every message is stored exactly once, in order.

The same histories run against variants that each leave one rule out, and must break there; otherwise the rule, or this
test, is worth nothing.
"""

from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from wire.messages import (
    Heartbeat,
    Hello,
    LatchState,
    LogCategory,
    ParameterUpdate,
    TradeLog,
    TradingMode,
)  # fmt: skip
from wire.outbox import Outbox
from wire.session import CloseLink, EngineSession, Offer, PlatformSession, Received, State, Vitals
from wire.stops import Level, StopSnapshot

START = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = StopSnapshot(epoch=0, effective=[], released=[])
WITHOUT = {
    "an ack means committed": ("ack_on_receipt", "produce connect talk restart_platform"),
    "the welcome says what is committed": ("welcome_says_received", "produce connect talk cut connect talk"),
    "keep until acknowledged": ("forget_when_sent", "produce connect talk cut connect talk"),
    "durable ids kill duplicates": ("no_id_dedupe", "produce connect talk commit come_back_as_a_new_engine commit"),
    "the outbox survives the engine": ("outbox_in_memory", "produce restart_engine"),
    "a new session counts from one": (
        "numbers_across_sessions",
        "produce connect commit_all_and_talk produce come_back_as_a_new_engine talk",
    ),
    "the welcome is a barrier": (
        "no_barrier",
        "produce connect talk cut connect commit_all_and_talk produce come_back_as_a_new_engine "
        "commit_of_an_old_connection talk",
    ),
}
"""Each rule, the flag that leaves it out, and a short history that then goes wrong."""


class Log:
    """Numbers made into trade logs and back."""

    @staticmethod
    def of(number):
        return TradeLog(id=f"L{number}", category=LogCategory.SYSTEM, message=str(number), timestamp=START)


class Link(RuleBasedStateMachine):
    """One engine, one platform, one stream of bytes each way, and what is durable on both sides."""

    broken = frozenset()

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.produced = []  # durable: what the engine wrote into its spool
        self.spool = []
        self.stored = []  # durable: the platform's database
        self.sessions = 0
        self.up = deque()
        self.down = deque()
        self.detached = None
        self.platform = None
        self.pending = []  # received by the platform, its commit still under way
        self.late = []  # the same of connections that are gone
        self.commands = []
        self.executed = []
        self.engine = self.new_engine()

    def new_engine(self):
        engine = EngineSession(
            "E1", hello=self.hello, vitals=lambda: Vitals(stop_epoch=0, level=Level.NORMAL, synced=True),
            clock=lambda: START + timedelta(seconds=self.now),
        )  # fmt: skip
        for log in self.spool:
            engine.send(log)
        return engine

    def hello(self, resume):
        return Hello(
            protocol="1", instance="i", name="n", version="1", trading_mode=TradingMode.PAPER, stops=[],
            latch=LatchState.ABSENT, capabilities=[], supported_brokerages=[], strategies=[], resume=resume,
        )  # fmt: skip

    @property
    def connected(self):
        return self.platform is not None

    # --- what may happen ----------------------------------------------------------------------------------------

    @rule()
    def produce(self):
        log = Log.of(len(self.produced))
        self.produced.append(log.id)
        if "outbox_in_memory" not in self.broken:
            self.spool.append(log)
        self.engine.send(log)

    @precondition(lambda self: self.connected)
    @rule()
    def command(self):
        update = ParameterUpdate(
            request_id=f"R{len(self.commands)}", strategy_id="s", parameters={"n": len(self.commands)}, version=1,
            base_version=0, stop_epoch=0, expires_ms=10_000,
        )  # fmt: skip
        self.commands.append(update.request_id)
        self.platform.send(update, id=update.request_id, expires_at=self.now + 1e9)

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self):
        self.up.clear()
        self.down.clear()
        self.engine.disconnected()
        self.engine.connected(self.now)
        self.platform = PlatformSession("E1", now=self.now, clock=lambda: START + timedelta(seconds=self.now))
        self.pump_engine()

    @precondition(lambda self: self.connected)
    @rule()
    def cut(self):
        self.lose_connection()

    @rule()
    def restart_platform(self):
        if self.connected:
            self.lose_connection()
        self.detached = None
        self.pending.clear()
        self.late.clear()

    @rule()
    def restart_engine(self):
        if self.connected:
            self.lose_connection()
        self.engine = self.new_engine()

    @rule(n=st.integers(1, 5))
    def carry_up(self, n):
        self.pump_engine()
        for _ in range(min(n, len(self.up))):
            if self.platform is not None:
                self.handle_platform(self.platform.receive(self.up.popleft(), self.now))

    @rule(n=st.integers(1, 5))
    def carry_down(self, n):
        self.pump_platform()
        for _ in range(min(n, len(self.down))):
            if self.engine.state in (State.AWAITING, State.LIVE):
                self.handle_engine(self.engine.receive(self.down.popleft(), self.now))

    @precondition(lambda self: self.connected)
    @rule()
    def talk(self):
        for _ in range(2):
            self.carry_up(50)
            self.now += 0.3
            self.carry_down(50)

    @precondition(lambda self: self.connected)
    @rule()
    def commit_all_and_talk(self):
        self.talk()
        while self.pending:
            self.commit()
        self.talk()

    @rule()
    def come_back_as_a_new_engine(self):
        self.restart_engine()
        self.connect()
        self.talk()

    @precondition(lambda self: self.pending)
    @rule()
    def commit(self):
        event = self.pending.pop(0)
        self.store(event)
        if self.platform is not None:
            self.platform.committed(event.seq, self.now)

    @precondition(lambda self: self.late)
    @rule()
    def commit_of_an_old_connection(self):
        event = self.late.pop(0)
        self.store(event)
        if "no_barrier" in self.broken and self.platform is not None:
            self.platform.committed(event.seq, self.now)

    @rule(seconds=st.sampled_from([0.1, 0.3]))
    def wait(self, seconds):
        self.now += seconds

    # --- the two applications -----------------------------------------------------------------------------------

    def handle_platform(self, events):
        for event in events:
            if isinstance(event, CloseLink):
                self.lose_connection()
            elif isinstance(event, Received) and isinstance(event.message, Hello):
                self.greet()
            elif isinstance(event, Received) and isinstance(event.message, Heartbeat):
                self.platform.answer_heartbeat(event.message, stop=NOTHING, lease_ms=15000)
            elif isinstance(event, Received):
                self.pending.append(event)
                if "ack_on_receipt" in self.broken:
                    self.platform.committed(event.seq, self.now)

    def greet(self):
        if not self.platform.resumable(self.detached):
            self.sessions += 1
        detached, self.detached = self.detached, None
        offer = Offer(
            session=f"S{self.sessions}", epoch=self.sessions, platform_id="P", term=1, stop=NOTHING, lease_ms=15000,
            token_expires=START + timedelta(days=9), config_version=1,
        )  # fmt: skip
        self.platform.welcome(offer, self.now, detached=detached)
        self.pump_platform()

    def handle_engine(self, events):
        for event in events:
            if isinstance(event, CloseLink):
                self.lose_connection()
                return
            if isinstance(event, Received) and isinstance(event.message, ParameterUpdate):
                if event.message.request_id not in self.executed:
                    self.executed.append(event.message.request_id)
                self.engine.committed(event.seq, self.now, connection=event.connection)
            elif hasattr(event, "ids"):
                self.spool = [log for log in self.spool if log.id not in event.ids]

    def store(self, event):
        log = event.message
        if "no_id_dedupe" in self.broken or log.id not in self.stored:
            self.stored.append(log.id)

    def lose_connection(self):
        # The barrier: what the old connection still works on may yet be stored, but no longer confirms anything.
        self.late += self.pending
        self.pending = []
        self.detached = self.platform.detach() or self.detached
        self.platform = None
        self.engine.disconnected()
        self.up.clear()
        self.down.clear()

    def pump_engine(self):
        if self.connected:
            self.handle_engine(self.engine.tick(self.now))
            self.up += self.engine.take(self.now, limit=1000)

    def pump_platform(self):
        if self.connected:
            self.handle_platform(self.platform.tick(self.now))
        if self.connected:
            self.down += self.platform.take(self.now, limit=1000)

    # --- what must hold -----------------------------------------------------------------------------------------

    @invariant()
    def stored_is_a_beginning_of_what_was_produced(self):
        assert self.stored == self.produced[: len(self.stored)]

    @invariant()
    def nothing_is_forgotten_before_it_is_stored(self):
        if "outbox_in_memory" not in self.broken:
            spooled = {log.id for log in self.spool}
            assert all(i in spooled for i in self.produced[len(self.stored) :])

    @invariant()
    def commands_are_executed_once_and_in_order(self):
        assert self.executed == [c for c in self.commands if c in self.executed]

    def teardown(self):
        """However the history went, a quiet connection brings everything over."""
        if self.connected:
            self.lose_connection()
        self.connect()
        for _ in range(10 + 3 * len(self.produced)):
            self.carry_up(5)
            while self.pending:
                self.commit()
            self.now += 0.3
            self.carry_down(5)
            if not self.connected:
                self.connect()
        assert self.stored == self.produced
        assert not self.engine.outbox.messages()


@contextmanager
def without(flag):
    """The sessions and their applications with one rule left out."""
    with mock.patch.object(Link, "broken", frozenset({flag})), pytest.MonkeyPatch.context() as patch:
        if flag == "welcome_says_received":
            patch.setattr(PlatformSession, "detach", says_received(PlatformSession.detach))
        if flag == "forget_when_sent":
            patch.setattr(Outbox, "resume", forgetful(Outbox.resume))
        if flag == "numbers_across_sessions":
            patch.setattr(PlatformSession, "welcome", counting_on(PlatformSession.welcome))
        yield


def says_received(detach):
    def wrong(self):
        self.inbound._uncommitted.clear()
        return detach(self)

    return wrong


def forgetful(resume):
    def wrong(self, last_recv):
        return resume(self, self.next_seq - 1)

    return wrong


def counting_on(welcome):
    def wrong(self, offer, now, *, detached=None):
        events = welcome(self, offer, now, detached=detached)
        if detached is not None:
            self.inbound.restart(detached.last_recv)
        return events

    return wrong


HISTORIES = settings(
    max_examples=100, stateful_step_count=40, suppress_health_check=list(HealthCheck), print_blob=False, database=None
)


def test_every_message_is_stored_once_and_in_order_whatever_happens():
    run_state_machine_as_test(Link, settings=HISTORIES)


@pytest.mark.deep
def test_every_message_is_stored_once_and_in_order_in_a_long_search():
    run_state_machine_as_test(Link, settings=settings(HISTORIES, max_examples=5000))


def replay(history):
    link = Link()
    for step in history.split():
        getattr(link, step)()
        link.stored_is_a_beginning_of_what_was_produced()
        link.nothing_is_forgotten_before_it_is_stored()
        link.commands_are_executed_once_and_in_order()
    link.teardown()


@pytest.mark.parametrize("name", WITHOUT)
def test_a_history_goes_wrong_without_the_rule_and_well_with_it(name):
    flag, history = WITHOUT[name]
    replay(history)
    with without(flag), pytest.raises(AssertionError):
        replay(history)


@pytest.mark.deep
@pytest.mark.parametrize("name", WITHOUT)
def test_the_search_finds_such_a_history_by_itself(name):
    with without(WITHOUT[name][0]), pytest.raises(AssertionError):
        run_state_machine_as_test(Link, settings=settings(HISTORIES, max_examples=20_000, phases=[Phase.generate]))
