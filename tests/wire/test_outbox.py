from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wire.messages import EmergencyStop, ErrorReport, HealthUpdate, Release, TradeLog
from wire.outbox import BEYOND, RESERVED, Letter, Outbox
from wire.stops import Level, Scope
from wire.values import ErrorCategory, GapCause, LogCategory, ProcessStatus, Severity

START = datetime(2026, 1, 1, tzinfo=UTC)
CAPACITY, WINDOW = 24, 6


def make(kind, n):
    if kind == "log":
        return TradeLog(id=f"m{n}", category=LogCategory.SYSTEM, message="x", timestamp=START)
    if kind == "report":
        return ErrorReport(
            code="error_x", category=ErrorCategory.RISK, reason=str(n), severity=Severity.INFO, degraded=False
        )
    return HealthUpdate(
        cpu_usage=float(n), memory_usage=1.0, process_status=ProcessStatus.RUNNING, engine_count=1,
        active_strategies=1, last_update=START,
    )  # fmt: skip


class AnyHistory(RuleBasedStateMachine):
    """The outbox against a simple account of it: a message is held, acknowledged, withdrawn, expired or lost."""

    def __init__(self):
        super().__init__()
        self.outbox = Outbox(capacity=CAPACITY, window=WINDOW)
        self.now = 0.0
        self.count = 0
        self.put_ids = []
        self.acknowledged = []
        self.written_lost = 0
        self.last_written = 0
        self.stops = {}

    def put(self, message, **options):
        self.count += 1
        self.outbox.put(Letter(message=message, id=f"m{self.count}", timestamp=START, **options))

    @rule(kind=st.sampled_from(["log", "report"]), expires=st.none() | st.floats(0, 3))
    def put_lossless(self, kind, expires):
        self.put(make(kind, self.count), expires_at=None if expires is None else self.now + expires)
        self.put_ids.append(f"m{self.count}")

    @rule()
    def put_conflated(self):
        self.put(make("health", self.count))

    @rule(n=st.integers(1, 4))
    def put_stop(self, n):
        self.put(EmergencyStop(
            stop_id=f"s{n}", stop_epoch=self.count, scope=Scope.everything(), level=Level.HALT, proof="", timeout_ms=1,
            reason="", user_id="u",
        ))  # fmt: skip
        self.put_ids.append(f"m{self.count}")

    @rule(n=st.integers(1, 4))
    def put_release(self, n):
        self.put(Release(stop_ids=[f"s{n}"], epoch=self.count, effective=[], resume=False))
        self.put_ids.append(f"m{self.count}")

    @rule(n=st.integers(1, 8))
    def take(self, n):
        for _ in range(n):
            sending = self.outbox.take(self.now)
            if sending is None:
                return
            assert sending.from_seq == self.last_written + 1
            assert sending.to_seq >= sending.from_seq
            if sending.gap is None:
                assert sending.letter.expires_at is None or sending.letter.expires_at > self.now
                assert sending.letter.message is not None
            self.last_written = sending.to_seq
            assert self.outbox.written == self.last_written

    @rule(part=st.floats(0, 1))
    def acknowledge(self, part):
        seq = self.outbox.acked + int(part * (self.last_written - self.outbox.acked))
        self.acknowledged += self.outbox.acknowledge(seq)

    @rule(part=st.floats(0, 1))
    def resume(self, part):
        seq = self.outbox.acked + int(part * (self.outbox.next_seq - 1 - self.outbox.acked))
        self.acknowledged += self.outbox.resume(seq)
        self.last_written = seq

    @rule()
    def renumber(self):
        self.outbox.renumber()
        self.last_written = 0

    @rule()
    def spoil_the_newest(self):
        if self.outbox.next_seq - 1 == self.last_written > self.outbox.acked:
            self.outbox.spoil(self.last_written)

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def the_bound_holds(self):
        urgent = len(self.outbox.messages(lambda m: isinstance(m, EmergencyStop | Release)))
        assert self.outbox.held - urgent <= CAPACITY
        assert self.outbox.held >= 0
        assert len(self.outbox.messages(lambda m: isinstance(m, TradeLog))) <= CAPACITY - RESERVED

    @invariant()
    def what_is_held_is_what_is_there(self):
        gaps = sum(
            1 for x in self.outbox._sent.values() if x.gap in (GapCause.RELEASED, GapCause.EXPIRED) and not x.conflated
        )
        assert self.outbox.held == len(self.outbox.messages()) + gaps

    @invariant()
    def nothing_is_acknowledged_twice(self):
        assert len(set(self.acknowledged)) == len(self.acknowledged)
        assert set(self.acknowledged) <= set(self.put_ids)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=100, stateful_step_count=30)


def filled(outbox, n):
    for i in range(n):
        outbox.put(Letter(message=make("log", i), id=f"log-{i}", timestamp=START))


def kinds(outbox, n):
    return [type(s.letter.message).__name__ if (s := outbox.take(0.0)) else None for _ in range(n)]


def test_what_an_engine_says_of_a_stop_or_an_error_goes_out_although_the_window_is_full_of_trade_logs():
    outbox = Outbox(capacity=1000, window=4)
    filled(outbox, 20)
    outbox.put(Letter(message=make("report", 0), id="report", timestamp=START))
    assert kinds(outbox, 6) == ["TradeLog"] * 4 + ["ErrorReport", None]
    outbox.acknowledge(4)
    assert kinds(outbox, 4) == ["TradeLog"] * 3 + [None]


def test_even_vital_messages_beyond_the_window_are_bounded():
    outbox = Outbox(capacity=1000, window=4)
    filled(outbox, 20)
    for i in range(BEYOND + 9):
        outbox.put(Letter(message=make("report", i), id=f"report-{i}", timestamp=START))
    assert kinds(outbox, 4 + BEYOND + 1)[-1] is None
    assert outbox.unacked == 4 + BEYOND
