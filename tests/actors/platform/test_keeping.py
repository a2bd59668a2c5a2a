"""What keeps stops on disk: a journal that fails says so at once and is tried again; one that hangs holds up nobody."""

import threading
from datetime import UTC, datetime

import pytest
import trio

from actors.board import Board
from actors.platform.degraded import DegradedParts
from actors.stops.copies import StopCopies
from actors.stops.effects import RecordStop, Words
from actors.stops.keeping import StopKeeping
from actors.stops.ledger import UNFOLDED
from actors.stops.records import NotKept
from wire.rest.stops import StopRequest
from wire.stops import Entry, Level, Scope


class Disk:
    """Fails as often as it is told; what it took is in ``journal``."""

    def __init__(self, failures):
        self.failures = failures
        self.journal = []

    async def write_journal(self, stops):
        await trio.lowlevel.checkpoint()
        if self.failures:
            self.failures -= 1
            raise NotKept("Input/output error")
        self.journal += stops

    async def save_stop(self, stop):
        raise NotKept("the database is away")


@pytest.mark.parametrize("failures, alerts", [(0, 0), (1, 1), (3, 1)])
async def test_a_stop_that_the_journal_refuses_is_alarmed_once_and_written_soon(kit, autojump_clock, failures, alerts):
    book, told, degraded = kit.book(), [], DegradedParts()
    disk = Disk(failures)
    keeping = StopKeeping(book, disk, Board(), degraded, lambda _stop: None, alert=told.append)
    taken = book.take(StopRequest(), "kim", kit.at(0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeping.keep_journal)
        for effect in taken.effects:
            if isinstance(effect, RecordStop):
                keeping.record(effect)
        await trio.testing.wait_all_tasks_blocked()
        assert book.view(taken.stop_id).durable is (failures == 0)
        assert [alert.code for alert in told] == ["error_journal"] * alerts
        await trio.sleep(2)
        assert book.view(taken.stop_id).durable
        assert [alert.code for alert in told] == ["error_journal"] * alerts
        assert not degraded.is_degraded("journal")
        nursery.cancel_scope.cancel()


class Hanging:
    """A journal whose disk does not come back before it is let go."""

    generation = 1

    def __init__(self):
        self.began, self.go_on = threading.Event(), threading.Event()

    def append(self, *_records):
        self.began.set()
        self.go_on.wait(240)


async def test_whoever_is_cancelled_does_not_wait_for_a_disk_that_hangs():
    journal = Hanging()
    copies = StopCopies(journal, None, lambda: 1)
    words = Words(request_id="r", user_id="kim", reason="", requested_at=datetime(2026, 1, 5, tzinfo=UTC))
    note = RecordStop(stop_id="s1", entry=Entry(Scope.everything(), Level.HALT, 1), words=words)
    try:
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(copies.write_journal, [note])
                await trio.to_thread.run_sync(journal.began.wait, 60)
                nursery.cancel_scope.cancel()
    finally:
        journal.go_on.set()


def test_what_is_packed_leaves_the_board_once_the_database_has_it(kit):
    book, board = kit.book(), Board()
    keeping = StopKeeping(book, Disk(0), board, DegradedParts(), lambda _stop: None)
    stops = []
    for number in range(UNFOLDED + 2):
        stops.append(book.take(StopRequest(request_id=f"r{number}"), "kim", kit.at(0)).stop_id)
        plan = book.plan_release(stops[-1], [], resume=True, user_id="lee", reason="over", now=kit.at(1))
        book.apply_release(plan, kit.at(2))
        book.became_durable(stops[-1], book.runs[stops[-1]].epoch)
        keeping.put(stops[-1])
    keeping.changed(stops[1])
    keeping.fold()
    assert [stop_id for stop_id in stops if board.get(stop_id) is None] == stops[:1]
    assert [stop_id for stop_id in stops if book.runs[stop_id].is_folded] == stops[:1]
