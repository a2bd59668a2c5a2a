"""The two sessions of an engine link, rule by rule, without a clock or a socket."""

import itertools
import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.codec import unstructure
from wire.errors import Unauthorized
from wire.events import ENGINE_TRANSITIONS, PLATFORM_TRANSITIONS
from wire.lanes import ENGINE_DOWN, ENGINE_UP, LANES, TYPE_OF, Lane
from wire.messages import (
    Account,
    Ack,
    Auth,
    ConfigChanged,
    EmergencyStop,
    EngineStatusReport,
    ErrorReport,
    GapFill,
    Goodbye,
    HealthUpdate,
    Heartbeat,
    HeartbeatAck,
    Hello,
    ParameterUpdate,
    Release,
    StopProgress,
    TradeLog,
    Welcome,
)
from wire.outbox import Outbox
from wire.parts import Residual, Resume
from wire.session import (
    Acknowledged,
    CloseCode,
    CloseLink,
    EngineSession,
    LeaseGranted,
    Lost,
    Offer,
    PlatformSession,
    Received,
    Refused,
    Rejected,
    State,
    Vitals,
)  # fmt: skip
from wire.stops import Level, Scope, StopRecord, StopSnapshot
from wire.values import (
    EngineState,
    ErrorCategory,
    Flatness,
    GapCause,
    LatchState,
    LogCategory,
    ProcessStatus,
    Severity,
    StopPhase,
    TradingMode,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def log(number, text="x"):
    return TradeLog(id=f"L{number}", category=LogCategory.SYSTEM, message=text, timestamp=START)


def stop(number=1, epoch=1):
    return EmergencyStop(
        stop_id=f"s{number}", stop_epoch=epoch, scope=Scope.everything(), level=Level.HALT, proof="", timeout_ms=30000,
        reason="", user_id="u",
    )  # fmt: skip


def update(number, expires_ms=10_000):
    return ParameterUpdate(
        request_id=f"R{number}", strategy_id="s", parameters={"n": 1}, version=2, base_version=1, stop_epoch=0,
        expires_ms=expires_ms,
    )  # fmt: skip


def release(*ids, epoch=9):
    return Release(stop_ids=list(ids), epoch=epoch, effective=[], resume=False)


def health(cpu):
    return HealthUpdate(
        cpu_usage=cpu, memory_usage=1.0, process_status=ProcessStatus.RUNNING, engine_count=1, active_strategies=1,
        last_update=START,
    )  # fmt: skip


def hello(resume, **changes):
    fields = {
        "protocol": "1", "instance": "i1", "name": "n", "version": "1", "trading_mode": TradingMode.PAPER, "stops": [],
        "latch": LatchState.ABSENT, "capabilities": [], "supported_brokerages": [], "strategies": [],
    }  # fmt: skip
    return Hello(**{**fields, **changes}, resume=resume)


def snapshot(epoch=0):
    return StopSnapshot(epoch=epoch, effective=[], released=[])


class Pair:
    """Both sessions and everything either side was told, in order."""

    def __init__(self, **engine_options):
        self.now = 100.0
        self.stop_epoch = 0
        self.lease_ms = 15_000
        self.to_engine, self.to_platform = [], []
        self.up, self.down = [], []
        self.auto_commit = True
        self.sessions = itertools.count(1)
        self.engine = EngineSession(
            "E1", hello=hello, vitals=lambda: Vitals(stop_epoch=self.stop_epoch, level=Level.NORMAL, synced=True),
            clock=self.clock, **engine_options,
        )  # fmt: skip
        self.platform = None
        self.detached = None

    def clock(self):
        return START + timedelta(seconds=self.now)

    def connect(self, *, talk=True):
        self.engine.connected(self.now)
        self.platform = PlatformSession("E1", now=self.now, clock=self.clock)
        if talk:
            self.talk()
        return self

    def cut(self):
        self.detached = self.platform.detach()
        self.engine.disconnected()
        return self

    def offer(self, **changes):
        number = next(self.sessions)
        return attrs.evolve(
            Offer(
                session=f"S{number}", epoch=number, platform_id="P", term=1, stop=snapshot(), lease_ms=self.lease_ms,
                token_expires=self.clock() + timedelta(minutes=15), config_version=1,
            ), **changes,
        )  # fmt: skip

    def carry_up(self, frames=None):
        frames = self.engine.take(self.now, limit=10_000) if frames is None else frames
        self.up += [json.loads(f) for f in frames]
        for text in frames:
            for event in self.platform.receive(text, self.now):
                self.to_platform.append(event)
                self.answer(event)

    def answer(self, event):
        if not isinstance(event, Received):
            return
        if isinstance(event.message, Hello):
            self.to_platform += self.platform.welcome(self.offer(), self.now, detached=self.detached)
        elif isinstance(event.message, Heartbeat):
            self.platform.answer_heartbeat(event.message, stop=snapshot(self.stop_epoch), lease_ms=self.lease_ms)
        elif event.seq is not None and self.auto_commit:
            self.platform.committed(event.seq, self.now)

    def carry_down(self, frames=None):
        frames = self.platform.take(self.now, limit=10_000) if frames is None else frames
        self.down += [json.loads(f) for f in frames]
        for text in frames:
            for event in self.engine.receive(text, self.now):
                self.to_engine.append(event)
                if isinstance(event, Received) and event.seq is not None and self.auto_commit:
                    self.engine.committed(event.seq, self.now)

    def talk(self):
        for _ in range(3):
            self.carry_up()
            self.carry_down()
        return self

    def pass_time(self, seconds):
        """Both sides wake when they asked to, and talk."""
        self.talk()
        end = self.now + seconds
        while True:
            due = [t for t in (self.engine.deadline(), self.platform.deadline()) if t is not None and t <= end]
            self.now = max(self.now, min(due)) if due else end
            self.to_engine += self.engine.tick(self.now)
            self.to_platform += self.platform.tick(self.now)
            self.talk()
            for session in (self.engine, self.platform):
                assert session.deadline() is None or session.deadline() > self.now, "it would be woken for nothing"
            if not due:
                return self

    def messages(self, events, cls):
        return [e.message for e in events if isinstance(e, Received) and isinstance(e.message, cls)]


@pytest.fixture
def pair():
    return Pair().connect()


def platform(now=0.0):
    return PlatformSession("E1", now=now, clock=lambda: START)


def frame(kind, payload, **extra):
    return json.dumps(
        {"type": kind, "payload": payload, "timestamp": "2026-01-01T00:00:00Z", "engine_id": "E1", **extra}
    )


def of(message, **extra):
    return frame(TYPE_OF[type(message)], unstructure(message), **extra)


def greeted():
    session = platform()
    session.receive(of(hello(EMPTY)), 0.0)
    return session


EMPTY = Resume()


def live():
    session = greeted()
    session.welcome(Pair().offer(token_expires=START + timedelta(minutes=15)), 0.0)
    session.take(0.0)
    return session


def closes(events):
    return [e.code for e in events if isinstance(e, CloseLink)]


def sent(session, now=0.0):
    return [json.loads(f) for f in session.take(now, limit=1000)]


# --- greeting -------------------------------------------------------------------------------------------------------


def test_a_link_opens_with_hello_and_welcome(pair):
    assert [m["type"] for m in pair.up[:1] + pair.down[:1]] == ["hello", "welcome"]
    assert pair.down[0]["payload"] | {"stop": None, "limits": None, "on_lease_expiry": None} == {
        "session": "S1", "epoch": 1, "resumed": False, "last_recv": 0, "platform_id": "P", "term": 1, "stop": None,
        "lease_ms": 15000, "on_lease_expiry": None, "limits": None, "config_version": 1,
        "server_time": "2026-01-01T00:01:40.000000Z", "token_expires": "2026-01-01T00:16:40.000000Z",
    }  # fmt: skip
    assert pair.down[0]["payload"]["limits"] == {
        "max_message_bytes": 262144, "window": 256, "heartbeat_ms": 5000, "offline_ms": 15000, "ack_delay_ms": 200,
    }  # fmt: skip
    assert (pair.engine.state, pair.platform.state) == (State.LIVE, State.LIVE)


def test_a_field_that_is_always_there_is_null_when_it_has_no_value(pair):
    assert pair.down[0]["payload"]["on_lease_expiry"] == {"cancel_after_ms": 30000, "flatten_after_ms": None}
    pair.pass_time(0)
    clocks = {"market_data_age_ms": None, "order_channel_age_ms": None, "broker_token": "none"}
    assert [m["payload"]["clocks"] for m in pair.up if m["type"] == "heartbeat"] == [clocks]


def test_the_hello_has_five_seconds():
    session = platform(now=10)
    assert session.deadline() == 15
    assert session.tick(14.9) == []
    assert closes(session.tick(15)) == [4008]


def test_another_protocol_version_is_4506_even_when_its_hello_cannot_be_read():
    assert closes(platform().receive(of(hello(EMPTY, protocol="2")), 0)) == [4506]
    assert closes(platform().receive(frame("hello", {"protocol": "2", "who": "x"}), 0)) == [4506]


def test_an_invalid_hello_is_nacked_and_4507():
    session = platform()
    events = session.receive(frame("hello", {"protocol": "1"}, id="h1"), 0)
    assert closes(events) == [4507]
    assert sent(session)[0]["payload"] == {
        "code": "error_invalid_field", "reason": "payload.instance: is required", "category": "link", "re": "h1",
    }  # fmt: skip


def test_the_name_in_the_envelope_must_be_the_name_of_the_link():
    assert closes(live().receive(of(log(1), seq=1, engine_id="E2"), 0)) == [4503]


ALL_TYPES = sorted({*ENGINE_UP, *ENGINE_DOWN})


@pytest.mark.parametrize("kind", sorted(ENGINE_UP))
@pytest.mark.parametrize("state", [State.AWAITING, State.GREETED, State.LIVE])
@settings(max_examples=10)
@given(data=st.data())
def test_the_platform_takes_what_its_table_says_and_closes_at_the_rest(strategy, state, kind, data):
    session = {State.AWAITING: platform, State.GREETED: greeted, State.LIVE: live}[state]()
    message = data.draw(strategy(ENGINE_UP[kind]))
    events = session.receive(of(message, **({} if LANES[type(message)] is Lane.CONTROL else {"seq": 1})), 0)
    if (state, kind) not in PLATFORM_TRANSITIONS:
        assert closes(events) == [4507]
        assert session.state is State.CLOSED
        assert session.receive(of(log(1), seq=1), 0) == []
    elif closes(events):
        assert kind in ("hello", "ack", "gap_fill", "heartbeat")


@pytest.mark.parametrize("kind", sorted(ENGINE_DOWN))
@settings(max_examples=10)
@given(data=st.data())
def test_the_engine_takes_what_its_table_says_and_closes_at_the_rest(strategy, kind, data):
    pair = Pair().connect(talk=False)
    message = data.draw(strategy(ENGINE_DOWN[kind]))
    events = pair.engine.receive(of(message), 0)
    if (State.AWAITING, kind) not in ENGINE_TRANSITIONS:
        assert closes(events) == [4507]


def test_a_stop_is_never_refused_for_where_it_stands(pair):
    early = Pair().connect(talk=False)
    assert [e.message for e in early.engine.receive(of(stop(), seq=1), 0) if isinstance(e, Received)] == [stop()]
    for extra, code in (({"seq": 5}, [4009]), ({}, [])):
        other = Pair().connect()
        events = other.engine.receive(of(stop(), **extra), other.now)
        assert [(e.message, e.seq) for e in events if isinstance(e, Received)] == [(stop(), None)]
        assert closes(events) == code


# --- what is not valid ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, code",
    [
        ("{", 4507), ("[]", 4507), (b"\xff", 4507), ('{"a":1,"a":2}', 4507), ('{"seq":NaN}', 4507),
        ('{"a":' * 17 + "1" + "}" * 17, 4507), ('{"seq":"1"}', 4507), ('{"seq":0}', 4507), ('{"seq":1.0}', 4507),
        ('{"x":"' + "x" * 300_000 + '"}', 1009),
    ],
)  # fmt: skip
def test_what_is_not_even_a_numbered_object_ends_the_link(text, code):
    assert closes(live().receive(text, 0)) == [code]


BROKEN = [
    (frame("trade_log", {"id": "L1"}, seq=1, id="L1"), "error_invalid_field"),
    (frame("trade_log", None, seq=1), "error_invalid_field"),
    (frame("new_type", {}, seq=1), "error_unknown_type"),
    (frame("emergency_stop", {}, seq=1), "error_unknown_type"),
    (of(log(1), seq=1, crit=["quantum"]), "error_unknown_critical"),
    (of(log(1), seq=1, id="other"), "error_invalid_field"),
    (of(log(1), seq=1, id="x" * 65), "error_invalid_field"),
    (of(log(1), seq=1, timestamp="yesterday"), "error_invalid_field"),
    (json.dumps({"seq": 1}), "error_invalid_field"),
    (frame("trade_log", {"id": "L1", "message": "a\x00b"}, seq=1), "error_malformed"),
    (frame("trade_log", {"id": "L1", "message": "half \ud800"}, seq=1), "error_malformed"),
    (frame("trade_log", {"id": "L1", "n": 2**63}, seq=1), "error_malformed"),
    (frame("trade_log", {"id": "L1", "n": 10**400}, seq=1), "error_malformed"),
    (frame("trade_log", {"id": "L1", "message": "a"}, seq=1).replace('"a"', '"a\x00b\nc"'), "error_malformed"),
    (frame("t\x00", {}, seq=1, id="\x00"), "error_malformed"),
]


@pytest.mark.parametrize("text, code", BROKEN)
def test_an_invalid_message_is_nacked_and_counted_and_the_next_one_is_taken(text, code):
    session = live()
    (rejected,) = session.receive(text, 0)
    assert isinstance(rejected, Rejected)
    (received,) = session.receive(of(log(2), seq=2), 0)
    assert received.message == log(2)
    session.committed(2, 0)
    answers = sent(session, 0.3)
    assert (answers[0]["type"], answers[0]["payload"]["code"], answers[0]["payload"]["seq"]) == ("nack", code, 1)
    assert answers[0]["ack"] == 2
    assert session.state is State.LIVE


def test_nothing_of_a_message_that_cannot_be_kept_is_handed_on_but_its_number():
    (rejected,) = live().receive(frame("x\x00y", {"secret": "a\x00b"}, seq=1, id="q\x00"), 0)
    assert (rejected.type, rejected.id, rejected.seq) == ("", None, 1)
    assert "secret" not in repr(rejected)


def test_a_stop_with_text_that_cannot_be_kept_is_told_to_the_engine_as_a_stop_it_cannot_read(pair):
    text = frame("emergency_stop", {**unstructure(stop()), "reason": "\x00"}, seq=1)
    (rejected,) = pair.engine.receive(text, pair.now)
    assert (type(rejected), rejected.type) == (Rejected, "emergency_stop")
    assert pair.engine.state is State.LIVE


def test_an_unknown_type_without_a_number_is_nacked_in_any_state():
    for session in (platform(), greeted(), live()):
        assert closes(session.receive(frame("new_type", {}, id="n"), 0)) == []
        assert sent(session)[0]["payload"]["code"] == "error_unknown_type"


def test_an_invalid_nack_is_not_answered_with_a_nack():
    session = live()
    assert isinstance(session.receive(frame("nack", {}), 0)[0], Rejected)
    assert sent(session) == []


def test_crit_may_name_what_is_understood():
    session = PlatformSession("E1", now=0, clock=lambda: START, understood=["seal.v1"])
    session.receive(of(hello(EMPTY)), 0)
    session.welcome(Pair().offer(token_expires=START + timedelta(minutes=15)), 0)
    events = session.receive(of(log(1), seq=1, crit=["seal.v1", "reason", "seq"]), 0)
    assert [e.message for e in events] == [log(1)]


def test_a_number_on_a_control_frame_ends_the_link_and_a_missing_one_is_nacked():
    assert closes(live().receive(of(Goodbye(cause="x"), seq=1), 0)) == [4507]
    session = live()
    assert isinstance(session.receive(of(log(1)), 0)[0], Rejected)
    assert sent(session)[0]["payload"]["reason"].startswith("seq")


def test_a_flood_of_invalid_messages_is_rate_limited():
    session = live()
    events = [e for n in range(1, 400) for e in session.receive(frame("nonsense", {}, seq=n), 0)]
    assert closes(events) == [4030]


@given(text=st.binary(max_size=200) | st.text(max_size=100))
def test_no_bytes_make_a_session_raise(text):
    for session in (platform(), greeted(), live(), Pair().connect(talk=False).engine, Pair().connect().engine):
        session.receive(text, 0)


@given(data=st.data(), kind=st.sampled_from([*ALL_TYPES, "x"]))
def test_no_frame_makes_a_session_raise(strategy, data, kind):
    cls = {**ENGINE_UP, **ENGINE_DOWN}.get(kind)
    payload = unstructure(data.draw(strategy(cls))) if cls else {}
    if payload and data.draw(st.booleans()):
        payload[data.draw(st.sampled_from(sorted(payload)))] = data.draw(st.sampled_from([None, 1, "x", [], {}]))
    extra = data.draw(st.fixed_dictionaries({}, optional={
        "seq": st.sampled_from([1, 2, 9]), "ack": st.sampled_from([0, 1, 99, "x"]), "id": st.sampled_from(["a", 5]),
        "re": st.sampled_from(["a", None]), "crit": st.sampled_from([[], ["zz"], "x"]),
    }))  # fmt: skip
    for session in (platform(), greeted(), live(), Pair().connect(talk=False).engine, Pair().connect().engine):
        session.receive(frame(kind, payload, **extra), 0)
        session.take(0.0)
        session.tick(1e6)


# --- numbers and acks -----------------------------------------------------------------------------------------------


def test_a_gap_is_4009_and_a_repetition_is_dropped_and_acknowledged_again():
    session = live()
    session.receive(of(log(1), seq=1), 0)
    session.committed(1, 0)
    assert sent(session, 0.2)[0]["payload"] == {"seq": 1}
    assert session.receive(of(log(1), seq=1), 0.3) == []
    assert sent(session, 0.3)[0]["payload"] == {"seq": 1}
    assert closes(session.receive(of(log(3), seq=3), 0.4)) == [4009]


def test_an_ack_means_committed_and_comes_within_two_hundred_milliseconds_of_it():
    session = live()
    session.receive(of(log(1), seq=1), 0)
    session.receive(of(log(2), seq=2), 0)
    assert sent(session, 5.0) == []
    session.committed(1, 5.0)
    assert session.deadline() == 5.2
    assert sent(session, 5.19) == []
    assert [(m["type"], m["payload"]) for m in sent(session, 5.2)] == [("ack", {"seq": 1})]
    assert sent(session, 9.0) == []


def test_sixty_four_messages_are_acknowledged_at_once():
    session = live()
    for n in range(1, 65):
        session.receive(of(log(n), seq=n), 0)
    session.committed(63, 0)
    assert sent(session) == []
    session.committed(64, 0)
    assert sent(session)[0]["payload"] == {"seq": 64}


def test_any_frame_carries_the_ack():
    session = live()
    session.receive(of(log(1), seq=1), 0)
    session.committed(1, 0)
    session.send(ConfigChanged(config_version=2))
    session.send(ConfigChanged(config_version=3))
    assert [(m["type"], m.get("ack"), m.get("seq")) for m in sent(session)] == [
        ("config_changed", 1, 1),
        ("config_changed", None, 2),
    ]
    assert sent(session, 9) == []


def test_an_ack_of_what_was_never_sent_is_4009():
    assert closes(live().receive(of(Ack(seq=1)), 0)) == [4009]
    assert closes(live().receive(of(log(1), seq=1, ack=7), 0)) == [4009]


def test_what_is_lost_at_the_tail_is_found_by_the_heartbeat(pair):
    pair.engine.send(log(1))
    pair.engine.take(pair.now)  # written, and lost on the way
    pair.pass_time(5)
    assert closes(pair.to_platform) == [4009]
    other = Pair().connect()
    other.platform.send(ConfigChanged(config_version=2))
    other.platform.take(other.now)
    other.pass_time(5)
    assert closes(other.to_engine) == [4009]


def test_a_gap_fill_takes_the_numbers_it_names():
    session = live()
    assert session.receive(of(GapFill(from_seq=1, to_seq=4, cause=GapCause.CONFLATED)), 0) == []
    assert [e.seq for e in session.receive(of(log(5), seq=5), 0)] == [5]
    assert sent(session, 0.2)[0]["payload"] == {"seq": 4}
    assert closes(session.receive(of(GapFill(from_seq=9, to_seq=9, cause=GapCause.LOST)), 0)) == [4009]
    assert closes(live().receive(of(GapFill(from_seq=3, to_seq=1, cause=GapCause.LOST)), 0)) == [4009]


def problem(_number):
    return ErrorReport(code="error_x", category=ErrorCategory.RISK, reason="r", severity=Severity.INFO, degraded=True)


MESSAGES_UP = st.sampled_from(
    [log, lambda n: health(float(n)), lambda n: EngineStatusReport(status=EngineState.RUNNING), problem]
)
MESSAGES_DOWN = st.sampled_from([lambda n: stop(n, n + 1), update, lambda n: ConfigChanged(config_version=n)])


@given(ups=st.lists(MESSAGES_UP, max_size=100), downs=st.lists(MESSAGES_DOWN, max_size=80), pause=st.floats(0, 0.3))
def test_every_message_is_acknowledged(ups, downs, pause):
    """Feature: trading-platform-backend-integration, Property 20: 메시지 확인"""
    pair = Pair().connect()
    for n, make in enumerate(ups):
        pair.engine.send(make(n), id=f"up-{n}" if make is not log else None)
        pair.pass_time(pause / 10)
    for n, make in enumerate(downs):
        pair.platform.send(make(n), id=f"down-{n}")
    pair.pass_time(1)
    lossless_up = {
        f"L{n}" if make is log else f"up-{n}" for n, make in enumerate(ups) if LANES[type(make(n))] is Lane.LOSSLESS
    }
    confirmed = [i for e in pair.to_engine if isinstance(e, Acknowledged) for i in e.ids]
    assert sorted(confirmed) == sorted(lossless_up)
    confirmed = [i for e in pair.to_platform if isinstance(e, Acknowledged) for i in e.ids]
    assert sorted(confirmed) == sorted(f"down-{n}" for n in range(len(downs)))
    beats = {m["payload"]["n"] for m in pair.up if m["type"] == "heartbeat"}
    assert {m["payload"]["n"] for m in pair.down if m["type"] == "heartbeat_ack"} == beats
    assert (pair.engine.outbox.unacked, pair.platform.outbox.unacked) == (0, 0)


# --- the outbox -----------------------------------------------------------------------------------------------------


def test_conflated_messages_keep_their_place_and_only_the_newest_is_sent(pair):
    pair.engine.send(log(1))
    pair.engine.send(health(1.0))
    pair.engine.send(log(2))
    pair.engine.send(health(2.0))
    pair.talk()
    data = [m for m in pair.up if "seq" in m]
    assert [(m["type"], m["seq"]) for m in data] == [("trade_log", 1), ("health_update", 2), ("trade_log", 3)]
    assert data[1]["payload"]["cpu_usage"] == 2.0


def test_the_window_is_256_up_and_64_down(pair):
    pair.auto_commit = False
    for n in range(300):
        pair.engine.send(log(n))
        pair.platform.send(update(n))
    pair.talk()
    assert (pair.engine.outbox.unacked, pair.platform.outbox.unacked) == (256, 64)
    pair.platform.committed(100, pair.now)
    pair.pass_time(0.2)
    assert pair.engine.outbox.unacked == 200


def test_stops_and_releases_overtake_commands_and_ignore_the_window(pair):
    pair.auto_commit = False
    for n in range(70):
        pair.platform.send(update(n))
    pair.carry_down()
    pair.platform.send(update(70))
    pair.platform.send(stop(1))
    pair.platform.send(release("s0"))
    pair.platform.send(stop(2))
    pair.carry_down()
    assert [(m["type"], m["seq"]) for m in pair.down[-3:]] == [
        ("emergency_stop", 65), ("release", 66), ("emergency_stop", 67),
    ]  # fmt: skip


def test_a_stop_that_comes_between_two_writes_is_the_next_frame(pair):
    for n in range(40):
        pair.platform.send(update(n))
    first = pair.platform.take(pair.now)
    assert len(first) == 16
    pair.platform.send(stop())
    assert json.loads(pair.platform.take(pair.now)[0])["type"] == "emergency_stop"


def test_an_expired_command_is_never_sent(pair):
    pair.platform.send(update(1), expires_at=pair.now + 1)
    pair.platform.send(update(2), expires_at=pair.now + 9)
    pair.now += 2
    pair.talk()
    assert [
        (m["payload"]["request_id"], m["payload"]["expires_ms"]) for m in pair.down if m["type"] == "parameter_update"
    ] == [("R2", 7000)]
    assert pair.platform.statistics().expired == 1


def test_a_command_that_expired_while_away_is_replaced_by_a_gap_fill_and_the_other_tells_the_time_left(pair):
    pair.auto_commit = False
    pair.platform.send(update(1), expires_at=pair.now + 5)
    pair.platform.send(update(2), expires_at=pair.now + 9)
    pair.platform.take(pair.now)
    pair.cut()
    pair.now += 6
    pair.connect()
    kinds = [
        (m["type"], m.get("seq"), m["payload"]) for m in pair.down if m["type"] in ("gap_fill", "parameter_update")
    ]
    assert kinds[0] == ("gap_fill", None, {"from_seq": 1, "to_seq": 1, "cause": "expired"})
    assert kinds[1][:2] == ("parameter_update", 2)
    assert kinds[1][2]["expires_ms"] == 3000


def test_a_released_stop_leaves_every_outbox(pair):
    pair.platform.send(stop(1))
    pair.platform.send(release("s1"))
    pair.talk()
    assert [m["type"] for m in pair.down if m.get("seq")] == ["release"]
    pair.platform.send(stop(2, epoch=3))
    pair.platform.take(pair.now)
    pair.platform.send(release("s2", epoch=4))
    pair.cut().connect()
    assert [m["payload"] for m in pair.down if m["type"] == "gap_fill"] == [
        {"from_seq": 2, "to_seq": 2, "cause": "released"}
    ]
    assert pair.messages(pair.to_engine, EmergencyStop) == []
    assert [r.stop_ids for r in pair.messages(pair.to_engine, Release)] == [["s1"], ["s2"]]


def test_a_release_does_not_withdraw_a_newer_epoch_of_the_same_stop(pair):
    pair.platform.send(stop(1, epoch=7))
    pair.platform.send(release("s1", epoch=6))
    pair.talk()
    assert [s.stop_epoch for s in pair.messages(pair.to_engine, EmergencyStop)] == [7]


def test_a_message_too_large_for_a_frame_becomes_a_gap_and_the_rest_goes_on(pair):
    pair.engine.send(log(1))
    big = attrs.evolve(hello(EMPTY), capabilities=["x" * 200] * 2000)
    pair.engine.send(stop_progress_with(big))
    pair.engine.send(log(2))
    pair.talk()
    assert [m["payload"] for m in pair.up if m["type"] == "gap_fill"] == [
        {"from_seq": 2, "to_seq": 2, "cause": "lost", "lost": 1}
    ]
    assert [m.id for m in pair.messages(pair.to_platform, TradeLog)] == ["L1", "L2"]
    assert pair.engine.statistics().lost == 1


def stop_progress_with(big):
    return StopProgress(
        stop_id="s1", stop_epoch=1, phase=StopPhase.FROZEN, orders_cancelled=0, orders_remaining=0,
        positions_liquidated=0, positions_remaining=0, flatness=Flatness.UNKNOWN,
        residuals=[Residual(symbol="A", quantity=1, reason=c * 5) for c in big.capabilities],
    )  # fmt: skip


def test_a_full_outbox_counts_what_it_loses_and_keeps_room_for_what_matters():
    pair = Pair(outbox=Outbox(capacity=40))
    report = ErrorReport(code="error_x", category=ErrorCategory.RISK, reason="r", severity=Severity.INFO, degraded=True)
    kept = [pair.engine.send(log(n)) for n in range(30)]
    assert kept == [True] * 24 + [False] * 6
    assert [pair.engine.send(report) for _ in range(20)] == [True] * 20
    assert pair.engine.outbox.held == 40
    pair.connect()
    lost = [m["payload"]["lost"] for m in pair.up if m["type"] == "gap_fill"]
    assert sum(lost) == pair.engine.statistics().lost == 11  # a report of the overflow has one of the sixteen places
    assert len(pair.messages(pair.to_platform, TradeLog)) == 19
    assert len(pair.messages(pair.to_platform, ErrorReport)) == 21


def test_an_engine_whose_outbox_overflows_says_so_once_and_names_how_many_are_lost():
    pair = Pair(outbox=Outbox(capacity=40))
    pair.connect()
    pair.auto_commit = False
    for n in range(60):
        pair.engine.send(log(n))
    pair.talk()
    told = pair.messages(pair.to_platform, ErrorReport)
    assert [report.code for report in told] == ["error_outbox_full"]
    assert sum(e.count for e in pair.to_platform if isinstance(e, Lost)) == pair.engine.outbox.lost == 60 - 24
    pair.platform.committed(pair.platform.inbound.last, pair.now)
    pair.pass_time(0.5)
    assert pair.engine.outbox.held == 0
    for n in range(60, 100):
        pair.engine.send(log(n))
    pair.talk()
    assert len(pair.messages(pair.to_platform, ErrorReport)) == 2


def test_losses_that_are_told_again_are_counted_once():
    session = live()
    gap = of(GapFill(from_seq=1, to_seq=1, cause=GapCause.LOST, lost=7))
    assert session.receive(gap, 0) == [Lost(count=7)]
    assert session.receive(gap, 0) == []
    assert session.receive(of(GapFill(from_seq=2, to_seq=5, cause=GapCause.CONFLATED)), 0) == []


def test_the_engine_measures_how_far_its_clock_is_from_the_platform_s(pair):
    assert pair.engine.skew_ms is None
    pair.engine._clock = lambda: pair.clock() + timedelta(seconds=3)
    pair.pass_time(11)
    assert pair.engine.skew_ms == 3000


def test_an_id_is_given_to_every_lossless_message_and_an_impossible_one_is_refused(pair):
    pair.engine.send(EngineStatusReport(status=EngineState.RUNNING))
    pair.engine.send(EngineStatusReport(status=EngineState.RUNNING), id="mine")
    pair.talk()
    ids = [m["id"] for m in pair.up if m.get("seq")]
    assert ids[1] == "mine"
    assert 1 <= len(ids[0]) <= 64
    for impossible in ("", "x" * 65, "a b", "é"):
        with pytest.raises(ValueError, match="durable id"):
            pair.engine.send(EngineStatusReport(status=EngineState.RUNNING), id=impossible)


# --- resuming -------------------------------------------------------------------------------------------------------


def test_a_resumed_session_repeats_what_is_not_committed_with_the_same_numbers(pair):
    pair.auto_commit = False
    for n in range(4):
        pair.engine.send(log(n))
    pair.engine.send(health(1.0))
    pair.engine.send(health(2.0))
    pair.talk()
    pair.platform.committed(2, pair.now)
    pair.cut().connect()
    again = [(m["type"], m.get("seq"), m["payload"].get("cause")) for m in pair.up]
    assert again[-3:] == [("trade_log", 3, None), ("trade_log", 4, None), ("gap_fill", None, "conflated")]
    assert [m["payload"]["resumed"] for m in pair.down if m["type"] == "welcome"] == [False, True]
    assert (pair.engine.resumed, pair.engine.session) == (True, "S1")
    confirmed = [i for e in pair.to_engine if isinstance(e, Acknowledged) for i in e.ids]
    assert confirmed == ["L0", "L1"]


def test_a_heartbeat_before_the_repetition_does_not_claim_numbers_not_yet_written(pair):
    pair.auto_commit = False
    for n in range(4):
        pair.engine.send(log(n))
    pair.talk().cut().connect(talk=False)
    pair.carry_up()
    pair.carry_down()
    pair.engine.tick(pair.now)
    first = sent_without_loss(pair)
    assert (first["type"], first["payload"]["last_seq"]) == ("heartbeat", 0)
    pair.pass_time(5)
    assert [m["payload"]["last_seq"] for m in pair.up if m["type"] == "heartbeat"] == [0, 4]
    assert closes(pair.to_platform) == []


def sent_without_loss(pair):
    frames = pair.engine.take(pair.now)
    pair.carry_up(frames)
    return json.loads(frames[0])


@pytest.mark.parametrize("lost", ["platform state", "engine state"])
def test_a_session_that_one_side_forgot_is_numbered_afresh(pair, lost):
    pair.engine.send(log(1))
    pair.pass_time(0.3)
    pair.auto_commit = False
    pair.engine.send(log(2))
    pair.platform.send(update(1))
    pair.talk().cut()
    if lost == "platform state":
        pair.detached = None
    else:
        unsent = pair.engine.outbox.messages()
        pair.engine = Pair().engine
        for message in unsent:
            pair.engine.send(message)
    pair.to_engine.clear()
    pair.connect()
    assert (pair.engine.resumed, pair.engine.session, pair.engine.epoch) == (False, "S2", 2)
    assert [(m["payload"]["id"], m["seq"]) for m in pair.up if m["type"] == "trade_log"][-1] == ("L2", 1)
    repeated = pair.messages(pair.to_engine, ParameterUpdate)
    assert [u.request_id for u in repeated] == (["R1"] if lost == "engine state" else [])


def test_an_engine_begins_anew_when_the_platform_counts_otherwise(pair):
    pair.cut()
    pair.engine.connected(pair.now)
    pair.engine.take(pair.now)
    answer = json.loads(pair_welcome())
    answer["payload"] |= {"resumed": True, "last_recv": 7, "session": "S1"}
    assert closes(pair.engine.receive(json.dumps(answer), pair.now)) == [4010]
    pair.engine.disconnected()
    pair.engine.connected(pair.now)
    assert sent(pair.engine, pair.now)[0]["payload"]["resume"]["session"] == ""


def pair_welcome():
    session = greeted()
    session.welcome(Pair().offer(), 0.0)
    return session.take(0.0)[0]


def test_a_commit_of_an_older_connection_confirms_nothing(pair):
    pair.auto_commit = False
    pair.platform.send(update(1))
    pair.talk()
    (old,) = [e for e in pair.to_engine if isinstance(e, Received) and e.seq == 1]
    pair.cut()
    pair.detached = None
    pair.connect()
    pair.platform.send(update(2))
    pair.talk()
    pair.engine.committed(old.seq, pair.now, connection=old.connection)
    assert pair.engine.statistics().committed == 0


def test_what_was_sent_before_the_welcome_follows_it(pair):
    pair.cut().connect(talk=False)
    pair.platform.send(stop(5))
    pair.talk()
    kinds = [m["type"] for m in pair.down]
    assert (
        kinds.index("emergency_stop") == len(kinds) - 1 - kinds[::-1].index("welcome") + 1 or "emergency_stop" in kinds
    )
    assert pair.messages(pair.to_engine, EmergencyStop) == [stop(5)]


def test_a_session_never_welcomed_leaves_nothing_to_detach():
    assert platform().detach() is None
    assert greeted().detach() is None
    with pytest.raises(RuntimeError):
        platform().welcome(Pair().offer(), 0)


def test_a_link_closed_while_its_welcome_was_prepared_loses_nothing(pair):
    pair.auto_commit = False
    pair.platform.send(update(1))
    pair.talk().cut()
    short_lived = greeted()
    short_lived.close(CloseCode.SUPERSEDED)
    assert short_lived.welcome(pair.offer(), pair.now, detached=pair.detached) == []
    pair.detached = short_lived.detach()
    pair.to_engine.clear()
    pair.connect()
    assert pair.engine.resumed
    assert [u.request_id for u in pair.messages(pair.to_engine, ParameterUpdate)] == ["R1"]


# --- time -----------------------------------------------------------------------------------------------------------


@given(
    origin=st.integers(0, 10**6).map(lambda n: n / 97),
    lateness=st.lists(st.just(0.0) | st.floats(0, 4.9), min_size=1, max_size=50),
)
def test_heartbeats_stand_on_a_grid_of_five_seconds_however_late_each_is(origin, lateness):
    """Feature: trading-platform-backend-integration, Property 14: 하트비트 타이밍"""
    pair = Pair()
    pair.now = origin
    pair.connect().pass_time(0)
    beats = [pair.now]
    for late in lateness:
        due = pair.engine._next_beat_at
        assert due == origin + 5 * len(beats)
        pair.now = due + late
        pair.engine.tick(pair.now)
        pair.carry_up()
        pair.carry_down()
        beats.append(pair.now)
    heard = [m["payload"] for m in pair.up if m["type"] == "heartbeat"]
    assert [h["sent_ms"] for h in heard] == [int(t * 1000) for t in beats]
    assert [h["n"] for h in heard] == list(range(1, len(beats) + 1))


def test_missed_beats_are_skipped_not_made_up_for(pair):
    pair.pass_time(0)
    origin, before = pair.now, len([m for m in pair.up if m["type"] == "heartbeat"])
    pair.now += 12
    pair.engine.tick(pair.now)
    pair.carry_up()
    assert len([m for m in pair.up if m["type"] == "heartbeat"]) == before + 1
    assert pair.engine._next_beat_at == origin + 15


def test_a_writer_that_stalls_does_not_pile_up_heartbeats(pair):
    for _ in range(3):
        pair.now += 5
        pair.engine.tick(pair.now)
    assert [json.loads(f)["type"] for f in pair.engine.take(pair.now)].count("heartbeat") == 1


def test_a_platform_without_a_valid_message_is_suspect_after_7500_ms_and_offline_after_15_s():
    session = live()
    assert not session.is_suspect(7.4)
    assert session.is_suspect(7.5)
    session.receive(frame("nonsense", {}, seq=1), 10)
    assert session.deadline() is not None
    assert closes(session.tick(14.9)) == []
    assert closes(session.tick(15)) == [4008]


def test_an_engine_gives_up_on_a_silent_platform(pair):
    pair.pass_time(0)
    heard = pair.now
    pair.now = heard + 14.9
    assert closes(pair.engine.tick(pair.now)) == []
    pair.now = heard + 15
    assert closes(pair.engine.tick(pair.now)) == [4008]
    silent = Pair().connect(talk=False)
    assert silent.engine.deadline() == silent.now + 15
    assert closes(silent.engine.tick(silent.now + 15)) == [4008]


def test_a_quiet_link_stays_open_for_an_hour(pair):
    for _ in range(6):
        received = Received(message=Auth(token="t"), seq=None, id="a", re=None, timestamp=START)
        pair.platform.accept_token(received, pair.clock() + timedelta(minutes=15), pair.now)
        pair.pass_time(600)
    assert closes(pair.to_engine) == closes(pair.to_platform) == []
    assert len([m for m in pair.up if m["type"] == "heartbeat"]) == 721


def test_an_expired_token_closes_after_thirty_seconds_unless_it_is_held(pair):
    end = pair.now + 900
    pair.engine.take(pair.now)
    for at, held, codes in ((29.9, False, []), (30, True, []), (500, True, []), (501, False, [4101])):
        pair.platform.hold_token = held
        pair.platform.last_heard = end + at
        assert closes(pair.platform.tick(end + at)) == codes


def test_a_fresh_token_is_acknowledged_and_a_bad_one_ends_the_link(pair):
    pair.engine.send(Auth(token="t"), id="a1")
    pair.carry_up()
    (auth,) = [e for e in pair.to_platform if isinstance(e, Received) and isinstance(e.message, Auth)]
    pair.platform.accept_token(auth, pair.clock() + timedelta(minutes=30), pair.now)
    pair.carry_down()
    (answer,) = [e for e in pair.to_engine if isinstance(e, Received) and isinstance(e.message, Ack)]
    assert answer.re == "a1"
    events = pair.platform.refuse_token(auth, Unauthorized("the token is not valid", code="error_token_invalid"))
    assert closes(events) == [4504]
    pair.carry_down()
    (refused,) = [e for e in pair.to_engine if isinstance(e, Refused)]
    assert (refused.nack.code, refused.nack.re) == ("error_token_invalid", "a1")


def test_the_engine_knows_when_to_refresh_its_token(pair):
    assert pair.engine.token_refresh_at == pair.now + 540
    pair.engine.token_renewed(100, pair.now)
    assert pair.engine.token_refresh_at == pair.now + 60


# --- the lease ------------------------------------------------------------------------------------------------------


def test_the_lease_counts_from_when_the_hello_was_sent():
    pair = Pair().connect(talk=False)
    hello_at = pair.now
    up = pair.engine.take(pair.now)
    pair.now += 4
    pair.carry_up(up)
    pair.carry_down()
    assert pair.engine.lease_expires_at == hello_at + 15


def test_the_lease_counts_from_the_highest_answered_heartbeat(pair):
    pair.pass_time(0)
    before = pair.engine.lease_expires_at
    assert before == pair.now + 15
    pair.now += 5
    pair.engine.tick(pair.now)
    pair.carry_up()
    answers = pair.platform.take(pair.now)
    sent_at = pair.now
    pair.now += 3
    pair.carry_down(answers)
    assert pair.engine.lease_expires_at == sent_at + 15
    granted = pair.engine.lease_expires_at
    pair.now += 1
    pair.carry_down(answers)  # the same answer again gives nothing
    assert pair.engine.lease_expires_at == granted


def test_a_frame_that_does_not_know_our_newest_stop_gives_no_lease(pair):
    pair.pass_time(0)
    before = pair.engine.lease_expires_at
    pair.stop_epoch = 5
    pair.engine.tick(pair.now + 5)
    pair.now += 5
    frames = pair.engine.take(pair.now)
    (beat,) = [e.message for f in frames for e in pair.platform.receive(f, pair.now)]
    pair.platform.answer_heartbeat(beat, stop=snapshot(4), lease_ms=15000)
    pair.carry_down()
    assert pair.engine.lease_expires_at == before


def test_no_lease_is_a_lease_of_no_length(pair):
    pair.lease_ms = 0
    pair.pass_time(5)
    assert pair.engine.lease_expires_at == pair.now


def test_the_stop_in_a_frame_comes_before_its_lease(pair):
    kinds = [type(e.message if isinstance(e, Received) else e) for e in pair.to_engine]
    assert kinds.index(Welcome) + 1 == kinds.index(LeaseGranted)
    pair.pass_time(5)
    kinds = [type(e.message if isinstance(e, Received) else e) for e in pair.to_engine]
    assert kinds[kinds.index(HeartbeatAck) + 1] is LeaseGranted


def test_the_lease_can_be_counted_on_a_clock_that_goes_on_in_sleep():
    boot = itertools.count(5000)
    pair = Pair(lease_clock=lambda: float(next(boot))).connect()
    assert 5000 <= pair.engine.lease_expires_at - 15 <= 5001


# --- the rest -------------------------------------------------------------------------------------------------------


def test_after_a_close_what_waits_can_still_be_written_and_nothing_is_heard():
    session = live()
    session.receive(frame("nonsense", {}, seq=1), 0)
    assert closes(session.receive("{", 0)) == [4507]
    assert [m["type"] for m in sent(session)] == ["nack"]
    assert session.receive(of(log(2), seq=2), 0) == []
    assert session.close(CloseCode.BUG) == []
    assert session.deadline() is None


def test_a_goodbye_is_told(pair):
    pair.platform.send(Goodbye(cause="drain", reconnect_after_ms=500))
    pair.talk()
    assert pair.messages(pair.to_engine, Goodbye) == [Goodbye(cause="drain", reconnect_after_ms=500)]


def test_a_nack_is_told_to_the_sender(pair):
    pair.engine.send(log(1), crit=("quantum",))
    pair.talk()
    (refused,) = [e for e in pair.to_engine if isinstance(e, Refused)]
    assert (refused.nack.code, refused.nack.seq, refused.nack.re) == ("error_unknown_critical", 1, "L1")
    pair.pass_time(0.2)
    assert pair.engine.outbox.held == 0


def test_statistics_are_a_frozen_picture(pair):
    pair.engine.send(log(1))
    pair.pass_time(0.3)
    statistics = pair.platform.statistics()
    assert (statistics.session, statistics.last_recv, statistics.committed, statistics.rejected) == ("S1", 1, 1, 0)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        statistics.epoch = 3


def test_accounts_are_conflated_too(pair):
    account = Account(equity=1, cash=1, realized_pnl=0, trading_day=START.date(), as_of=START)
    pair.engine.send(account)
    pair.engine.send(attrs.evolve(account, equity=2))
    pair.talk()
    assert [m.equity for m in pair.messages(pair.to_platform, Account)] == [2]


def test_stops_reported_in_hello_arrive_with_the_hello():
    record = StopRecord(stop_id="s1", scope=Scope.everything(), level=Level.HALT, stop_epoch=3)
    session = platform()
    (event,) = session.receive(of(hello(EMPTY, stops=[record])), 0)
    assert event.message.stops == [record]
