"""Histories of connects, cuts, takeovers, restarts of either side and commits, over the real sessions of both sides.

Every trade log is stored exactly once and in order, every command is executed once, and what is conflated never comes
twice. The same histories run against variants that each leave one rule out, and must break there; otherwise the rule,
or this test, is worth nothing. A rule of the sessions is left out in the sessions themselves; three of them (ids in the
database, the engine's spool and its table of commands) are rules of what surrounds a session, and are left out there.
"""

from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from wire.base_session import BaseSession
from wire.messages import HealthUpdate, Heartbeat, Hello, ParameterUpdate, TradeLog
from wire.numbering import Inbound
from wire.outbox import Outbox
from wire.session import CloseLink, Detached, EngineSession, Offer, PlatformSession, Received, State, Vitals
from wire.stops import Level, StopSnapshot
from wire.values import LatchState, LogCategory, ProcessStatus, TradingMode

START = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = StopSnapshot(epoch=0, effective=[], released=[])
WITHOUT = {
    "an ack means committed": ("ack_on_receipt", "produce connect talk restart_platform"),
    "a command is acknowledged when it is noted": (
        "ack_on_receipt",
        "connect talk command talk restart_engine",
    ),
    "the welcome says what is committed": ("welcome_says_received", "produce connect talk cut connect talk"),
    "keep until acknowledged": ("forget_when_sent", "produce connect talk cut connect talk"),
    "durable ids kill duplicates": ("no_id_dedupe", "produce connect talk commit come_back_as_a_new_engine commit"),
    "commands are executed once by their ids": (
        "no_command_dedupe",
        "connect talk command carry_all_down note come_back_as_a_new_engine note",
    ),
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
    "nothing of the old connection is processed after the new welcome": (
        "old_bytes_are_heard",
        "connect talk command carry_all_down note_all_and_talk command command carry_all_down note engine_speaks_later "
        "restart_engine connect carry_up platform_speaks bytes_of_an_old_connection",
    ),
    "what is conflated is never repeated": ("conflated_again", "produce report connect talk cut connect talk"),
    "a number that is not sent again is filled": (
        "gaps_unfilled",
        "connect talk report engine_speaks produce cut connect talk",
    ),
    "the row of a session moves with the data": ("row_before_data", "produce connect talk restart_platform"),
}
"""Each rule, the flag that leaves it out, and a short history that then goes wrong."""


def log_of(number):
    return TradeLog(id=f"L{number}", category=LogCategory.SYSTEM, message=str(number), timestamp=START)


@attrs.define(eq=False)
class Connection:
    """The platform's end of one connection: its session and what is still on the way to it."""

    session: PlatformSession
    up: deque = attrs.field(factory=deque)


class Link(RuleBasedStateMachine):
    """One engine, one platform, one stream of bytes each way per connection, and what is durable on both sides.

    ``keeps_row``: the database also keeps how far a session is, so that a platform that was restarted may resume it.
    """

    broken = frozenset()
    keeps_row = False

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.numbers = 0
        # The engine: its spool and its table of commands are durable.
        self.produced = []
        self.spool = []
        self.executed = []
        self.noting = []
        self.reported = 0
        # The platform: its database is durable.
        self.stored = []
        self.row = None
        self.sessions = 0
        self.welcomed = 0
        self.detached = None
        self.current = None
        self.stale = []  # connections the engine has left and the platform still believes in
        self.gone = []  # connections that were taken over, with bytes still on the way
        self.pending = []  # received, its commit under way: (connection, event)
        self.late = []  # the same of connections that are gone
        self.seen = []
        self.commands = []
        self.promised = []  # commands of this platform process: they must arrive
        self.down = deque()
        self.engine = self.new_engine()

    def new_engine(self):
        engine = EngineSession(
            "E1", hello=self.hello, vitals=lambda: Vitals(stop_epoch=0, level=Level.NORMAL, synced=True),
            clock=self.clock,
        )  # fmt: skip
        for log in self.spool:
            engine.send(log)
        return engine

    def clock(self):
        return START + timedelta(seconds=self.now)

    def hello(self, resume):
        return Hello(
            protocol="1", instance="i", name="n", version="1", trading_mode=TradingMode.PAPER, stops=[],
            latch=LatchState.ABSENT, capabilities=[], supported_brokerages=[], strategies=[], resume=resume,
        )  # fmt: skip

    @property
    def connected(self):
        return self.current is not None

    # --- what may happen ----------------------------------------------------------------------------------------

    @rule()
    def produce(self):
        log = log_of(len(self.produced))
        self.produced.append(log.id)
        if "outbox_in_memory" not in self.broken:
            self.spool.append(log)
        self.engine.send(log)

    @rule()
    def report(self):
        self.reported += 1
        self.engine.send(
            HealthUpdate(
                cpu_usage=float(self.reported), memory_usage=1.0, process_status=ProcessStatus.RUNNING,
                engine_count=1, active_strategies=0, last_update=START,
            )
        )  # fmt: skip

    @precondition(lambda self: self.connected and self.current.session.state is State.LIVE)
    @rule()
    def command(self):
        update = ParameterUpdate(
            request_id=f"R{len(self.commands)}", strategy_id="s", parameters={"n": len(self.commands)}, version=1,
            base_version=0, stop_epoch=0, expires_ms=10_000,
        )  # fmt: skip
        self.commands.append(update.request_id)
        self.promised.append(update.request_id)
        self.current.session.send(update, id=update.request_id, expires_at=self.now + 1e9)

    @rule()
    def connect(self):
        """Also where a connection seems to be open: the engine has lost it and the platform does not know yet."""
        if self.connected:
            self.stale.append(self.current)
        self.numbers += 1
        self.down.clear()
        self.engine.disconnected()
        self.noting.clear()
        self.engine.connected(self.now)
        session = PlatformSession("E1", now=self.now, connection=self.numbers, clock=self.clock)
        self.current = Connection(session)
        self.engine_speaks()

    @precondition(lambda self: self.connected)
    @rule()
    def cut(self):
        self.lose_connection()

    @rule()
    def restart_platform(self):
        if self.connected:
            self.lose_connection()
        self.detached = self.row_as_detached() if self.keeps_row else None
        self.welcomed = 0
        self.promised.clear()
        for left in (self.pending, self.late, self.gone):
            left.clear()

    @rule()
    def restart_engine(self):
        """The platform may not notice: bytes of the old process are still on their way."""
        if self.connected:
            self.engine.disconnected()
            self.stale.append(self.current)
            self.current = None
        self.noting.clear()
        self.engine = self.new_engine()

    @rule(n=st.integers(1, 5))
    def carry_up(self, n=1):
        self.engine_speaks()
        for _ in range(n):
            if self.current is not None and self.current.up:
                self.platform_hears(self.current, self.current.up.popleft())

    @rule(n=st.integers(1, 5))
    def carry_down(self, n=1):
        self.platform_speaks()
        for _ in range(min(n, len(self.down))):
            if self.engine.state in (State.AWAITING, State.LIVE):
                self.engine_hears(self.down.popleft())

    def carry_all_up(self):
        self.carry_up(50)

    def carry_all_down(self):
        self.carry_down(50)

    @precondition(lambda self: any(c.up for c in [*self.stale, *self.gone]))
    @rule()
    def bytes_of_an_old_connection(self):
        connection = next(c for c in [*self.stale, *self.gone] if c.up)
        self.platform_hears(connection, connection.up.popleft())

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

    def engine_speaks_later(self):
        self.now += 0.3
        self.engine_speaks()

    def note_all_and_talk(self):
        while self.noting:
            self.note()
        self.talk()

    @rule()
    def come_back_as_a_new_engine(self):
        self.restart_engine()
        self.connect()
        self.talk()

    @precondition(lambda self: self.pending)
    @rule()
    def commit(self):
        self.keep(*self.pending.pop(0))

    @precondition(lambda self: self.late)
    @rule()
    def commit_of_an_old_connection(self):
        self.keep(*self.late.pop(0))

    @precondition(lambda self: self.noting)
    @rule()
    def note(self):
        """A command is on the engine's stable storage, and is executed unless it was before."""
        event = self.noting.pop(0)
        request_id = event.message.request_id
        if "no_command_dedupe" in self.broken or request_id not in self.executed:
            self.executed.append(request_id)
        self.engine.committed(event.seq, self.now, connection=event.connection)

    @rule(seconds=st.sampled_from([0.1, 0.3]))
    def wait(self, seconds):
        self.now += seconds

    # --- the platform's application -----------------------------------------------------------------------------

    def platform_hears(self, connection, text):
        for event in connection.session.receive(text, self.now):
            if isinstance(event, CloseLink):
                self.close(connection)
            elif isinstance(event, Received) and isinstance(event.message, Hello):
                self.greet(connection)
            elif isinstance(event, Received) and isinstance(event.message, Heartbeat):
                connection.session.answer_heartbeat(event.message, stop=NOTHING, lease_ms=15000)
            elif isinstance(event, Received) and isinstance(event.message, HealthUpdate):
                self.seen.append(event.message.cpu_usage)
                self.pending.append((connection, event))
                self.confirm_what_needs_no_commit()
            elif isinstance(event, Received) and event.seq is not None:
                self.pending.append((connection, event))
                if "row_before_data" in self.broken:
                    self.move_row(connection.session, event.seq)

    def greet(self, connection):
        """The newest connection wins, in whatever order their hellos come; older ones are over before the welcome."""
        session = connection.session
        if session.connection < self.welcomed:
            self.close(connection)
            return
        self.welcomed = session.connection
        for older in [c for c in self.stale if c.session.connection < self.welcomed]:
            self.close(older)
        if not session.resumable(self.detached):
            self.sessions += 1
        detached, self.detached = self.detached, None
        offer = Offer(
            session=f"S{self.sessions}", epoch=self.sessions, platform_id="P", term=1, stop=NOTHING, lease_ms=15000,
            token_expires=START + timedelta(days=9), config_version=1,
        )  # fmt: skip
        session.welcome(offer, self.now, detached=detached)
        if not session.resumed:
            self.row = (session.session, self.sessions, 0)
        self.platform_speaks()

    def keep(self, connection, event):
        """One transaction: the message under its id, and how far its session is."""
        if "no_id_dedupe" in self.broken or event.message.id not in self.stored:
            self.stored.append(event.message.id)
        self.move_row(connection.session, event.seq)
        self.confirm(connection, event)
        self.confirm_what_needs_no_commit()

    def confirm_what_needs_no_commit(self):
        """An ack is cumulative: a report is confirmed when everything before it is."""
        for connection in {c for c, _ in self.pending}:
            while (first := next(((c, e) for c, e in self.pending if c is connection), None)) is not None:
                if not isinstance(first[1].message, HealthUpdate):
                    break
                self.pending.remove(first)
                self.confirm(*first)

    def confirm(self, connection, event):
        # Whoever serves the engine now is told; the connection in the event says whether it is its message.
        alive = connection if connection is self.current or connection in self.stale else self.current
        if alive is not None:
            alive.session.committed(event.seq, self.now, connection=event.connection)

    def move_row(self, session, seq):
        if self.row is not None and self.row[0] == session.session:
            self.row = (*self.row[:2], max(self.row[2], seq))

    def row_as_detached(self):
        if self.row is None:
            return None
        session, epoch, last_recv = self.row
        outbox = Outbox(capacity=1000, window=64)
        return Detached(
            session=session, epoch=epoch, instance="i", last_recv=last_recv, outbox=outbox, last_heard=None
        )  # fmt: skip

    def let_go(self, connection):
        """What it still works on may yet be stored, but confirms nothing any more."""
        self.late += [(c, e) for c, e in self.pending if c is connection and isinstance(e.message, TradeLog)]
        self.pending = [(c, e) for c, e in self.pending if c is not connection]
        self.detached = connection.session.detach() or self.detached
        self.gone.append(connection)

    def close(self, connection):
        if connection is self.current:
            self.lose_connection()
        elif connection in self.stale:
            self.stale.remove(connection)
            self.let_go(connection)

    def lose_connection(self):
        """Both sides notice, and nothing of it arrives any more."""
        for connection in [*self.stale, self.current]:
            self.let_go(connection)
            connection.up.clear()
        self.stale.clear()
        self.gone.clear()
        self.current = None
        self.engine.disconnected()
        self.noting.clear()
        self.down.clear()

    def platform_speaks(self):
        if self.connected:
            for event in self.current.session.tick(self.now):
                assert not isinstance(event, CloseLink), "nothing in these histories takes that long"
            self.down += self.current.session.take(self.now, limit=1000)

    # --- the engine's application -------------------------------------------------------------------------------

    def engine_hears(self, text):
        for event in self.engine.receive(text, self.now):
            if isinstance(event, CloseLink):
                self.lose_connection()
                return
            if isinstance(event, Received) and isinstance(event.message, ParameterUpdate):
                self.noting.append(event)
            elif hasattr(event, "ids"):
                self.spool = [log for log in self.spool if log.id not in event.ids]

    def engine_speaks(self):
        if self.connected:
            self.engine.tick(self.now)
            self.current.up += self.engine.take(self.now, limit=1000)

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

    @invariant()
    def what_is_conflated_comes_once_and_never_goes_back(self):
        assert all(a < b for a, b in zip(self.seen, self.seen[1:], strict=False))

    def teardown(self):
        """However the history went, a quiet connection brings everything over."""
        if self.connected or self.stale:
            self.current = self.current or self.stale.pop()
            self.lose_connection()
        self.connect()
        for _ in range(10 + 3 * len(self.produced)):
            self.carry_up(5)
            while self.pending:
                self.commit()
            self.now += 0.3
            self.carry_down(5)
            while self.noting:
                self.note()
            if not self.connected:
                self.connect()
        self.commands_are_executed_once_and_in_order()
        self.what_is_conflated_comes_once_and_never_goes_back()
        assert self.stored == self.produced
        assert not self.engine.outbox.messages()
        assert set(self.promised) <= set(self.executed)


class LinkWithRow(Link):
    keeps_row = True


@contextmanager
def without(flag):
    """The sessions, or what surrounds them, with one rule left out."""
    with mock.patch.object(Link, "broken", frozenset({flag})), pytest.MonkeyPatch.context() as patch:
        match flag:
            case "ack_on_receipt":
                patch.setattr(Inbound, "take", taken_at_once)
            case "welcome_says_received":
                patch.setattr(PlatformSession, "detach", says_received(PlatformSession.detach))
            case "forget_when_sent":
                patch.setattr(Outbox, "resume", forgetful(Outbox.resume))
            case "numbers_across_sessions":
                patch.setattr(PlatformSession, "welcome", counting_on(PlatformSession.welcome))
            case "no_barrier":
                patch.setattr(BaseSession, "committed", of_any_connection)
            case "old_bytes_are_heard":
                patch.setattr(PlatformSession, "detach", still_open(PlatformSession.detach))
            case "conflated_again":
                patch.setattr(Outbox, "_first_time", keeping(Outbox._first_time))
            case "gaps_unfilled":
                patch.setattr(Outbox, "take", skipping(Outbox.take))
        yield


def taken_at_once(self, seq):
    self.last = seq
    self.due_at = 0.0


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


def of_any_connection(self, seq, now, *, connection=None):
    self.inbound.commit(seq, now)


def still_open(detach):
    def wrong(self):
        state = self.state
        detached = detach(self)
        self.state = state
        return detached

    return wrong


def keeping(first_time):
    def wrong(self, letter):
        sending = first_time(self, letter)
        if letter.conflated:
            self._sent[sending.from_seq] = letter
        return sending

    return wrong


def skipping(take):
    def wrong(self, now):
        while (sending := take(self, now)) is not None and sending.gap is not None:
            continue
        return sending

    return wrong


HISTORIES = settings(
    max_examples=100, stateful_step_count=40, suppress_health_check=list(HealthCheck), print_blob=False, database=None
)
MACHINES = [Link, LinkWithRow]


@pytest.mark.parametrize("machine", MACHINES)
def test_every_message_arrives_once_and_in_order_whatever_happens(machine):
    run_state_machine_as_test(machine, settings=HISTORIES)


@pytest.mark.deep
@pytest.mark.parametrize("machine", MACHINES)
def test_every_message_arrives_once_and_in_order_in_a_long_search(machine):
    run_state_machine_as_test(machine, settings=settings(HISTORIES, max_examples=5000))


def machine_for(flag):
    return LinkWithRow if flag == "row_before_data" else Link


def replay(history, machine):
    link = machine()
    for step in history.split():
        getattr(link, step)()
        link.stored_is_a_beginning_of_what_was_produced()
        link.nothing_is_forgotten_before_it_is_stored()
        link.commands_are_executed_once_and_in_order()
        link.what_is_conflated_comes_once_and_never_goes_back()
    link.teardown()


@pytest.mark.parametrize("name", WITHOUT)
def test_a_history_goes_wrong_without_the_rule_and_well_with_it(name):
    flag, history = WITHOUT[name]
    replay(history, machine_for(flag))
    with without(flag), pytest.raises(AssertionError):
        replay(history, machine_for(flag))


# A history that needs eleven steps in one order is not found by chance.
FOUND_BY_SEARCH = sorted({flag for flag, _ in WITHOUT.values()} - {"old_bytes_are_heard"})


@pytest.mark.deep
@pytest.mark.parametrize("flag", FOUND_BY_SEARCH)
def test_the_search_finds_such_a_history_by_itself(flag):
    search = settings(HISTORIES, max_examples=20_000, phases=[Phase.generate])
    with without(flag), pytest.raises(AssertionError):
        run_state_machine_as_test(machine_for(flag), settings=search)
