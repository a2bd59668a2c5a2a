"""Properties 15, 16 and 21 at the platform: health reports are whole, changes are shown at once, silence is noticed."""

import json
from datetime import UTC, datetime, timedelta

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.fleet.fleet import EngineGreeted, EngineLost, EngineReported, Fleet, FleetBoard
from actors.fleet.row import OFFLINE_SECONDS, SUSPECT_SECONDS, EngineRow
from actors.links.places import LEASE_SECONDS, QUIET_SECONDS, Place, Verdict
from actors.live.hub import Hub
from actors.stops.book import StopBook
from actors.stops.parts import Instant
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from wire.messages import EngineStatusReport, HealthUpdate, Heartbeat, Hello
from wire.parts import Clocks
from wire.rest.engines import Connection
from wire.stops import Level, Register
from wire.ui import Topic
from wire.values import EngineState, LatchState, ProcessStatus, TradingMode

START = datetime(2026, 1, 5, tzinfo=UTC)


def at(seconds):
    return Instant(seconds, START + timedelta(seconds=seconds))


def hello(instance="i"):
    return Hello(
        protocol="1",
        instance=instance,
        name="E1",
        version="1",
        trading_mode=TradingMode.PAPER,
        stops=[],
        latch=LatchState.PRESENT,
        capabilities=[],
        supported_brokerages=[],
        strategies=[],
    )


def heartbeat(n, synced=True):
    return Heartbeat(
        n=n,
        sent_ms=0,
        last_seq=0,
        last_recv=0,
        stop_epoch=0,
        level=Level.NORMAL,
        synced=synced,
        clocks=Clocks(market_data_age_ms=10, order_channel_age_ms=20),
    )


@settings(max_examples=150, deadline=None)
@given(
    cpu=st.floats(0, 800),
    memory=st.floats(0, 100),
    status=st.sampled_from(list(ProcessStatus)),
    age=st.floats(0, 3600),
)
def test_every_health_report_has_cpu_memory_and_the_process_s_state_and_ages_that_grow(cpu, memory, status, age):
    """Feature: trading-platform-backend-integration, Property 15: 상태 보고 완전성"""
    row = EngineRow(engine_id="E1", name="E1", account_id="A1")
    never = row.health_view(0.0)
    assert (never.connection, never.cpu_usage, never.process_status) == (Connection.NEVER, None, None)
    row.hello(hello(), at(0))
    row.beaten(heartbeat(1), at(0).wall, LEASE_SECONDS, at(0))
    row.health = HealthUpdate(
        cpu_usage=cpu,
        memory_usage=memory,
        process_status=status,
        engine_count=1,
        active_strategies=0,
        last_update=START,
    )
    view = row.health_view(age)
    assert (view.cpu_usage, view.memory_usage, view.process_status) == (cpu, memory, status)
    assert view.clocks.process_age_ms == round(age * 1000)
    assert view.clocks.market_data_age_ms == 10 + round(age * 1000)
    assert (view.connection is Connection.CONNECTED) == (age < SUSPECT_SECONDS)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*EngineState, "lost", "hello"]), min_size=1, max_size=12))
def test_every_change_of_an_engine_s_state_is_shown_the_moment_it_is_known(changes):
    """Feature: trading-platform-backend-integration, Property 16: 상태 변경 브로드캐스팅"""

    async def play():
        book = StopBook(Register(), prove=lambda _r: "", is_ours=lambda _r: False, new_id=lambda: "s")
        shelf = StopShelf(book=book, desk=ReleaseDesk(lambda: "r"))
        hub, board = Hub(), FleetBoard(shelf)
        board.add("E1", "E1", "A1")
        fleet = ChildSpec(id="fleet", factory=lambda: Fleet(board, hub, shelf, wall=lambda: START))
        async with open_system(name="desk", children=[fleet]) as system:
            ref = system.ref("fleet")
            for change in changes:
                offset = hub.stream(Topic.ENGINES).offset
                ref.tell(told(change))
                await trio.testing.wait_all_tasks_blocked()
                assert hub.stream(Topic.ENGINES).offset > offset
                (shown,) = [json.loads(t) for t in hub.stream(Topic.ENGINES).snapshot()]
                row = board.rows["E1"]
                assert shown["status"] == (row.status.value if row.status else None)
                assert shown["connection"] == row.connection(trio.current_time()).value
                if isinstance(change, EngineState):
                    assert shown["status"] == change.value

    trio.run(play, clock=MockClock(autojump_threshold=10))


def told(change):
    match change:
        case "lost":
            return EngineLost(engine_id="E1", goodbye=False)
        case "hello":
            return EngineGreeted(engine_id="E1", hello=hello())
        case _:
            return EngineReported(engine_id="E1", report=EngineStatusReport(status=change))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["hello", "beat", "lost", "goodbye"]), st.floats(0, 20)), min_size=1, max_size=15
    ),
    st.floats(0, 40),
)
def test_a_connection_that_fails_is_noticed_by_silence_and_a_returning_engine_is_connected_again(events, later):
    """Feature: trading-platform-backend-integration, Property 21: 연결 상태 관리"""
    row = EngineRow(engine_id="E1", name="E1", account_id="A1")
    now, heard, linked, goodbye, n = 0.0, None, False, False, 0
    for event, pause in events:
        now += pause
        match event:
            case "hello":
                row.hello(hello(), at(now))
                heard, linked, goodbye = now, True, False
            case "beat" if linked:
                n += 1
                row.beaten(heartbeat(n), at(now).wall, LEASE_SECONDS, at(now))
                heard = now
            case "lost" | "goodbye":
                row.lost(event == "goodbye")
                linked, goodbye = False, event == "goodbye"
    now += later
    expected = Connection.CONNECTED
    if heard is None:
        expected = Connection.NEVER
    elif now - heard >= OFFLINE_SECONDS or goodbye:
        expected = Connection.OFFLINE
    elif now - heard >= SUSPECT_SECONDS or not linked:
        expected = Connection.SUSPECT
    assert row.connection(now) is expected
    row.hello(hello(), at(now))
    assert row.connection(now) is Connection.CONNECTED


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["i1", "i2"]), st.floats(0, 20), st.booleans(), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_two_instances_never_hold_a_lease_for_the_same_engine_at_the_same_time(story):
    """Each step: an instance says hello (or goodbye first), and is granted a lease if that is allowed."""
    place, now, leases = Place(), 0.0, {}
    for instance, pause, goodbye, granted in story:
        now += pause
        if goodbye and place.instance is not None:
            leases.pop(place.instance, None)
            place.said_goodbye()
        verdict = place.claim(instance, now)
        if verdict is Verdict.IN_USE:
            assert now - place.heard < QUIET_SECONDS
            continue
        place.take(instance, verdict, now)
        if granted and now >= place.guarded_until:
            place.granted(now)
            leases[instance] = now + LEASE_SECONDS
        alive = [i for i, until in leases.items() if until > now]
        assert len(alive) <= 1
