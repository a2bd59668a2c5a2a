"""What engines tell: acknowledged once it is committed, shown to people, and set aside where it is not valid."""

import json
from datetime import timedelta

import pytest
import trio

from actors.links.intake import QUARANTINE_LIMIT
from actors.requests import ListHealth
from actors.stops.effects import RaiseAlert
from tests.actors.links.engine import START, Engine, log_line, wall
from wire.messages import ErrorReport, Fill, HealthUpdate, TradeLog
from wire.quarantine import QuarantinedLog
from wire.rest.stops import StopState
from wire.session import State
from wire.values import ErrorCategory, LogCategory, ProcessStatus, Severity, Side


async def test_what_an_engine_tells_is_acknowledged_only_once_it_is_committed(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        world.ledger.away = True
        for i in range(5):
            engine.say(log_line(i))
        await trio.sleep(3)
        assert engine.session.outbox.unacked == 5
        world.ledger.away = False
        await trio.sleep(5)
        assert engine.session.outbox.unacked == 0
        assert len(world.ledger.rows) == 5


async def test_with_the_database_away_stops_heartbeats_and_leases_go_on(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        world.ledger.away = True
        for i in range(300):
            engine.say(log_line(i))
        await trio.sleep(40)
        assert engine.leases[-1] > trio.current_time()
        stop = await world.stop()
        assert (await world.state(stop, StopState.VERIFIED)).state is StopState.VERIFIED


async def test_conflated_messages_are_acknowledged_while_the_database_is_away(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        await world.connect(engine)
        world.ledger.away = True
        engine.say(
            HealthUpdate(
                cpu_usage=3.0,
                memory_usage=4.0,
                process_status=ProcessStatus.RUNNING,
                engine_count=1,
                active_strategies=0,
                last_update=wall(),
            )
        )
        await trio.sleep(1)
        assert engine.session.outbox.unacked == 0


async def test_what_an_engine_had_no_room_for_is_told_to_people(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1")
        engine.session.outbox.capacity = 20
        for n in range(30):
            engine.say(log_line(n))
        await world.connect(engine)
        await trio.sleep(1)
        codes = [a.code for a in world.alerts if isinstance(a, RaiseAlert)]
        assert "error_messages_lost" in codes
        kept = [r for r in world.ledger.rows.values() if isinstance(r, ErrorReport)]
        assert [report.code for report in kept] == ["error_outbox_full"]


async def test_a_clock_that_is_off_by_more_than_half_a_second_is_shown_and_warned_of_once(open_world, autojump_clock):
    async with open_world(engines=2) as world:
        right, wrong = Engine("E1"), Engine("E2")
        wrong.session._clock = lambda: wall() + timedelta(milliseconds=800)
        await world.connect(right)
        await world.connect(wrong)
        await trio.sleep(31)
        assert not [a for a in world.alerts if isinstance(a, RaiseAlert)]
        await trio.sleep(60)
        (alert,) = [a for a in world.alerts if isinstance(a, RaiseAlert)]
        assert (alert.code, alert.engine_id) == ("error_clock_skew", "E2")
        rows = await world.system.ref("fleet").ask(ListHealth())
        shown = {row.engine_id: row.skew_ms for row in rows}
        assert shown["E1"] == 0
        assert shown["E2"] == pytest.approx(800, abs=20)
        assert wrong.session.skew_ms == pytest.approx(800, abs=20)


def malform(text):
    """What an engine of another make might send instead."""
    frame = json.loads(text)
    if frame["type"] == "trade_log" and frame["payload"]["message"] == "bad":
        frame["payload"].update(category="Order", token="canary", reason="\x1b[31mred")
    if frame["type"] == "fill":
        frame["payload"]["quantity"] = 0
    if frame["type"] == "error_report":
        frame["payload"]["code"] = 1001
    if frame["type"] == "health_update":
        frame["payload"]["memory_usage"] = 200
    return json.dumps(frame)


def line(log_id, message="line"):
    return TradeLog(id=log_id, category=LogCategory.SYSTEM, message=message, timestamp=START)


async def test_a_malformed_line_is_nacked_and_kept_as_a_quarantined_row_between_its_neighbours(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1", spoken=malform)
        await world.connect(engine)
        for log_id, message in (("l1", "line"), ("l2", "bad"), ("l3", "line")):
            engine.say(line(log_id, message))
        await trio.sleep(2)
        first, row, last = world.ledger.rows.values()
        assert (first.id, last.id) == ("l1", "l3")
        assert isinstance(row, QuarantinedLog)
        assert row.reason == "payload.category: must be one of System, Strategy, Trade"
        assert "Order" in row.message
        assert "canary" not in row.message
        assert "\x1b" not in row.message
        facts = engine.session.statistics()
        assert (facts.refused, facts.unacked, facts.state) == (1, 0, State.LIVE)
        assert [a.code for a in world.alerts if isinstance(a, RaiseAlert)] == ["error_invalid_message"]


async def test_other_malformed_messages_are_dead_letters_and_those_with_successors_are_not_kept(
    open_world, autojump_clock
):
    async with open_world(engines=1) as world:
        engine = Engine("E1", spoken=malform)
        await world.connect(engine)
        engine.say(
            Fill(
                id="f1", order_id="o1", strategy_id="ma", symbol="005930", side=Side.BUY, quantity=5, price=71800,
                fee=1, tax=0, at=START,
            )
        )  # fmt: skip
        engine.say(
            HealthUpdate(
                cpu_usage=1.0, memory_usage=2.0, process_status=ProcessStatus.RUNNING, engine_count=1,
                active_strategies=0, last_update=START,
            )
        )  # fmt: skip
        await trio.sleep(2)
        (letter,) = world.ledger.letters
        assert (letter.engine_id, letter.kind, letter.payload) == ("E1", "fill", "{}")
        assert letter.reason == "not valid: payload.quantity: must be at least 1"
        assert world.ledger.rows == {}
        assert engine.session.statistics().refused == 2


async def test_an_error_with_a_number_for_its_code_is_set_aside_with_the_code_in_words(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", spoken=malform)
        await world.connect(engine)
        engine.say(
            ErrorReport(
                code="error_x", category=ErrorCategory.BROKER, reason="away", severity=Severity.ERROR, degraded=True
            )
        )
        await trio.sleep(2)
        (letter,) = world.ledger.letters
        assert letter.kind == "error_report"
        assert letter.reason.endswith("(it means error_api_connection)")


async def test_of_a_flood_of_malformed_lines_a_bounded_number_is_kept_and_the_link_lives(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", spoken=malform)
        await world.connect(engine)
        for number in range(QUARANTINE_LIMIT + 50):
            engine.say(line(f"l{number}", "bad"))
            await trio.sleep(0.01)
        engine.say(line("good"))
        await trio.sleep(2)
        rows = list(world.ledger.rows.values())
        assert sum(isinstance(row, QuarantinedLog) for row in rows) == QUARANTINE_LIMIT
        assert rows[-1].id == "good"
        assert engine.session.statistics().unacked == 0


async def test_a_malformed_line_is_kept_once_though_the_engine_sends_it_again(open_world, autojump_clock):
    async with open_world(engines=1) as world:
        engine = Engine("E1", spoken=malform)
        await world.connect(engine)
        world.ledger.away = True
        engine.say(line("l1"))
        engine.say(line("l2", "bad"))
        await trio.sleep(1)
        engine.pipe.cut()
        await trio.sleep(1)
        world.ledger.away = False
        await world.connect(engine)
        await trio.sleep(3)
        kinds = [type(row) for row in world.ledger.rows.values()]
        assert sorted(k.__name__ for k in kinds) == ["QuarantinedLog", "TradeLog"]
        assert engine.session.statistics().unacked == 0
