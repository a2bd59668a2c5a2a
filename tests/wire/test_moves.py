"""The tables that the guide draws are what the sessions do: every move on its own, on both sides."""

from datetime import UTC, datetime, timedelta

import pytest

from wire.closing import CloseCode
from wire.envelope import write_frame
from wire.events import ENGINE_MOVES, ENGINE_TRANSITIONS, PLATFORM_MOVES, PLATFORM_TRANSITIONS, State
from wire.messages import Hello, Welcome
from wire.parts import LeaseExpiry, Limits
from wire.session import EngineSession, Offer, PlatformSession, Vitals
from wire.stops import Level, StopSnapshot
from wire.values import TradingMode

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = StopSnapshot(epoch=0, effective=[], released=[])
HELLO = Hello(protocol="1", instance="i", name="n", version="1", trading_mode=TradingMode.PAPER, stops=[])
OFFER = Offer(
    session="s", epoch=1, platform_id="p", term=1, stop=NOTHING, lease_ms=0, token_expires=NOW + timedelta(minutes=15),
    config_version=1,
)  # fmt: skip
WELCOME = Welcome(
    session="s", epoch=1, resumed=False, last_recv=0, platform_id="p", term=1, stop=NOTHING, lease_ms=0,
    on_lease_expiry=LeaseExpiry(), limits=Limits(), server_time=NOW, token_expires=NOW + timedelta(minutes=15),
    config_version=1,
)  # fmt: skip


def text(message):
    return write_frame(message, engine_id="E1", timestamp=NOW)


def platform_in(state):
    session = PlatformSession("E1", now=0.0, clock=lambda: NOW)
    if state in (State.GREETED, State.LIVE):
        session.receive(text(HELLO), 0.0)
    if state is State.LIVE:
        session.welcome(OFFER, 0.0)
    return session


def engine_in(state):
    session = EngineSession(
        "E1",
        hello=lambda _: HELLO,
        vitals=lambda: Vitals(stop_epoch=0, level=Level.NORMAL, synced=True),
        clock=lambda: NOW,
    )
    if state is not State.IDLE:
        session.connected(0.0)
    if state is State.LIVE:
        session.receive(text(WELCOME), 0.0)
    if state is State.CLOSED:
        session.close(CloseCode.NORMAL)
    return session


PLATFORM_DOES = {
    "welcome sent": lambda session: session.welcome(OFFER, 0.0),
    "closed": lambda session: session.close(CloseCode.NORMAL),
}
ENGINE_DOES = {
    "connected, hello sent": lambda session: session.connected(0.0),
    "disconnected": lambda session: session.disconnected(),
    "closed": lambda session: session.close(CloseCode.NORMAL),
}
MOVES = [(platform_in, PLATFORM_DOES, *move) for move in PLATFORM_MOVES]
MOVES += [(engine_in, ENGINE_DOES, *move) for move in ENGINE_MOVES]


@pytest.mark.parametrize("begin, does, one, name, two", MOVES)
def test_a_move_of_the_table_is_a_move_of_the_session(begin, does, one, name, two):
    session = begin(one)
    assert session.state is one
    does[name](session)
    assert session.state is two


def test_messages_move_as_their_table_says():
    session = platform_in(State.AWAITING)
    session.receive(text(HELLO), 0.0)
    assert session.state is PLATFORM_TRANSITIONS[State.AWAITING, "hello"]
    session = engine_in(State.AWAITING)
    session.receive(text(WELCOME), 0.0)
    assert session.state is ENGINE_TRANSITIONS[State.AWAITING, "welcome"]
