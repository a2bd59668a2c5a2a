"""Property 25 at the platform: with a database that comes and goes, nothing is lost, doubled or acknowledged early."""

from collections import deque
from datetime import UTC, datetime

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.platform.degraded import DegradedParts
from actors.platform.log_writer import RETRY_SECONDS, Keep, Kept, LogWriter
from store.errors import Unavailable
from store.logs import Committed, Received
from supervisor.actor import Actor, handles
from supervisor.spec import ChildSpec
from supervisor.system import open_system
from wire.messages import TradeLog
from wire.values import LogCategory

START = datetime(2026, 1, 5, tzinfo=UTC)


class Link(Actor):
    def __init__(self, inbox):
        self.inbox = inbox

    @handles(Kept)
    async def on_kept(self, msg):
        self.inbox.append(msg.seq)


class Ledger:
    """Away by schedule: for each attempt True means that it fails, sometimes after it has committed."""

    def __init__(self, schedule):
        self.schedule = deque(schedule)
        self.rows = {}
        self.attempts = []

    async def commit(self, received, progress, now):
        await trio.lowlevel.checkpoint()
        self.attempts.append(trio.current_time())
        outcome = self.schedule.popleft() if self.schedule else "up"
        if outcome == "away":
            raise Unavailable("away")
        new = [r for r in received if r.id not in self.rows]
        self.rows.update({r.id: r for r in new})
        if outcome == "lost answer":
            raise Unavailable("it was committed, but nobody heard")
        return Committed(new=new, rejected=[], moved=frozenset())

    async def begin(self, begun, now): ...
    async def bury(self, letter): ...
    async def note_account(self, engine_id, account): ...


@settings(max_examples=100, deadline=None)
@given(
    schedule=st.lists(st.sampled_from(["up", "away", "lost answer"]), max_size=20),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=30),
)
def test_work_goes_on_with_back_off_while_the_database_is_away_and_nothing_is_lost_or_doubled(schedule, pauses):
    """Feature: trading-platform-backend-integration, Property 25: 우아한 성능 저하를 통한 오류 복구"""

    async def play():
        ledger, degraded, shown, confirmed = Ledger(schedule), DegradedParts(), [], []
        children = [
            ChildSpec(id="link", factory=lambda: Link(confirmed)),
            ChildSpec(id="writer", factory=lambda: LogWriter(ledger, degraded, shown.append, wall=lambda: START)),
        ]
        async with open_system(name="desk", children=children) as system:
            for seq, pause in enumerate(pauses, start=1):
                system.ref("writer").tell(keep(system.ref("link"), seq))
                await trio.sleep(pause)
                stored = max((int(i) for i in ledger.rows), default=0)
                assert not confirmed or confirmed[-1] <= stored
            await trio.sleep(60)
            assert list(ledger.rows) == [str(seq) for seq in range(1, len(pauses) + 1)]
            assert confirmed[-1] == len(pauses)
            assert confirmed == sorted(set(confirmed))
            assert len({r.id for r in shown}) == len(shown)
            assert not degraded.parts()
            assert len(ledger.attempts) <= len(pauses) + len(schedule)
        assert max(RETRY_SECONDS) <= 2.0

    trio.run(play, clock=MockClock(autojump_threshold=0))


def keep(link, seq):
    line = TradeLog(id=str(seq), category=LogCategory.SYSTEM, message="line", timestamp=START)
    received = Received(engine_id="E1", id=str(seq), at=START, message=line)
    return Keep(engine_id="E1", link=link, connection=0, session="s", seq=seq, rows=[received], numbers=[seq])
