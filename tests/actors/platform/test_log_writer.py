"""What engines tell is kept in batches, each once; a message the database refuses is set aside and holds nobody up."""

from datetime import UTC, datetime

import pytest
import trio

from actors.platform.degraded import DegradedParts
from actors.platform.log_writer import BATCH, Keep, Kept, LogWriter, NotStorable, SessionBegun
from store.errors import BadValue, Unavailable
from store.logs import Committed, Received, Rejected
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
        self.inbox.append(msg)

    @handles(NotStorable)
    async def on_refused(self, msg):
        self.inbox.append(msg)


class Ledger:
    def __init__(self):
        self.batches = []
        self.begun = []
        self.buried = []
        self.away = False
        self.poison = set()
        self.unknown = set()

    async def begin(self, begun, now):
        if any(one.engine_id in self.unknown for one in begun):
            raise BadValue("no such engine")
        self.begun.append([one.session for one in begun])

    async def commit(self, received, progress, now):
        if self.away:
            raise Unavailable("away")
        self.batches.append(([r.id for r in received], [(p.session, p.last_recv) for p in progress]))
        bad = [Rejected(received=r, reason="cannot be stored") for r in received if r.id in self.poison]
        return Committed(new=[r for r in received if r.id not in self.poison], rejected=bad, moved=frozenset())

    async def bury(self, letter):
        self.buried.append(letter)

    async def note_account(self, engine_id, account): ...


@pytest.fixture
async def desk():
    class Desk:
        pass

    desk = Desk()
    desk.ledger, desk.degraded, desk.told, desk.shown = Ledger(), DegradedParts(), [], []
    children = [
        ChildSpec(id="link", factory=lambda: Link(desk.told)),
        ChildSpec(
            id="writer", factory=lambda: LogWriter(desk.ledger, desk.degraded, desk.shown.append, wall=lambda: START)
        ),
    ]
    async with open_system(name="desk", children=children) as system:
        desk.link, desk.writer = system.ref("link"), system.ref("writer")
        yield desk


def keep(desk, seq, *, stored=True, session="s1"):
    desk.writer.tell(kept(desk, seq, stored=stored, session=session))


def kept(desk, *seqs, stored=True, session="s1"):
    """What a link has read at once, with these numbers."""
    lines = [TradeLog(id=f"l{n}", category=LogCategory.SYSTEM, message="line", timestamp=START) for n in seqs]
    rows = [Received(engine_id="E1", id=line.id, at=START, message=line) for line in lines] if stored else []
    numbers = seqs if stored else ()
    return Keep(engine_id="E1", link=desk.link, connection=1, session=session, seq=seqs[-1], rows=rows, numbers=numbers)


async def test_many_messages_are_one_commit_with_the_session_s_progress_in_it(desk, autojump_clock):
    for seq in range(1, 51):
        keep(desk, seq)
    await trio.sleep(1)
    ((ids, progress),) = desk.ledger.batches
    assert (len(ids), progress) == (50, [("s1", 50)])
    assert desk.told == [Kept(connection=1, seq=50)]


async def test_a_batch_is_bounded(desk, autojump_clock):
    for first in range(0, 2 * BATCH + 30, 30):
        desk.writer.tell(kept(desk, *range(first + 1, first + 31)))
    await trio.sleep(1)
    sizes = [len(ids) for ids, _ in desk.ledger.batches]
    assert (max(sizes), sum(sizes), len(sizes)) == (BATCH - BATCH % 30, 2 * BATCH + 50, 3)
    assert desk.told[-1] == Kept(connection=1, seq=2 * BATCH + 50)


async def test_a_poison_message_is_buried_and_nacked_and_its_neighbours_are_kept(desk, autojump_clock):
    desk.ledger.poison = {"l2"}
    for seq in (1, 2, 3):
        keep(desk, seq)
    await trio.sleep(1)
    assert [(type(m), m.seq) for m in desk.told] == [(NotStorable, 2), (Kept, 3)]
    assert [letter.kind for letter in desk.ledger.buried] == ["trade_log"]
    assert [r.id for r in desk.shown] == ["l1", "l3"]


async def test_a_number_without_a_row_is_confirmed_with_the_rest_and_shown_to_nobody(desk, autojump_clock):
    keep(desk, 1, stored=False)
    keep(desk, 2)
    await trio.sleep(1)
    assert desk.told == [Kept(connection=1, seq=2)]
    assert [r.id for r in desk.shown] == ["l2"]


async def test_nothing_is_confirmed_while_the_database_is_away_and_all_of_it_afterwards(desk, autojump_clock):
    desk.ledger.away = True
    keep(desk, 1)
    await trio.sleep(5)
    assert desk.told == []
    assert desk.degraded.is_degraded("logs")
    desk.ledger.away = False
    await trio.sleep(5)
    assert desk.told == [Kept(connection=1, seq=1)]
    assert not desk.degraded.parts()


async def test_a_fleet_that_comes_back_begins_its_sessions_at_once(desk, autojump_clock):
    for n in range(50):
        begun = SessionBegun(engine_id=f"E{n}", session=f"s{n}", instance="i", version="1", trading_mode="paper")
        desk.writer.tell(begun)
    await trio.sleep(1)
    assert desk.ledger.begun == [[f"s{n}" for n in range(50)]]


async def test_a_session_begins_before_its_first_message_and_a_refused_one_holds_up_nothing(desk, autojump_clock):
    desk.ledger.unknown = {"gone"}
    for engine, session in (("E0", "s0"), ("gone", "s9"), ("E1", "s1")):
        desk.writer.tell(
            SessionBegun(engine_id=engine, session=session, instance="i", version="1", trading_mode="paper")
        )
    keep(desk, 1)
    await trio.sleep(1)
    assert desk.ledger.begun == [["s0"], ["s1"]]
    assert desk.told == [Kept(connection=1, seq=1)]
