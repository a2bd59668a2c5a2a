"""What keeps stops on disk: a journal that fails says so at once and is tried again; one that hangs holds up nobody."""

import threading
from datetime import UTC, datetime

import attrs
import pytest
import trio

import actors.stops.keeping
import actors.stops.ledger
from actors.board import Board
from actors.platform.degraded import DegradedParts
from actors.stops.copies import StopCopies
from actors.stops.effects import RecordStop, Words
from actors.stops.keeping import EARLIER_SECONDS, StopKeeping
from actors.stops.ledger import UNFOLDED
from actors.stops.records import NotKept
from wire.rest.stops import StopRequest
from wire.stops import Entry, Level, Scope, StopRecord
from wire.values import LatchState


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


class Base:
    """A database that takes as long as it is told, and has what it was given."""

    def __init__(self):
        self.rows, self.takes, self.away = {}, 0.0, False

    async def save_stop(self, stop):
        await trio.sleep(self.takes)
        if self.away:
            raise NotKept("the database is away")
        self.rows[stop.stop_id] = stop

    async def read_stop(self, stop_id):
        await trio.sleep(self.takes)
        if self.away:
            raise NotKept("the database is away")
        return self.rows.get(stop_id)


@pytest.fixture
def old(kit, monkeypatch):
    """A stop that was put away, and the keeping of it."""
    monkeypatch.setattr(actors.stops.ledger, "UNFOLDED", 0)
    monkeypatch.setattr(actors.stops.ledger, "FOLDED", 0)
    book, base, board = kit.book(), Base(), Board()
    keeping = StopKeeping(book, base, board, DegradedParts(), lambda _stop: None)
    stop_id = book.take(StopRequest(request_id="r0", reason="fire"), "kim", kit.at(0)).stop_id
    plan = book.plan_release(stop_id, [], resume=True, user_id="lee", reason="over", now=kit.at(1))
    book.apply_release(plan, kit.at(2))
    book.became_durable(stop_id, book.runs[stop_id].epoch)
    base.rows[stop_id] = book.view(stop_id)
    keeping.fold()
    assert stop_id in book.past
    return stop_id, keeping, base, board


async def test_who_asks_for_a_stop_that_was_put_away_is_told_what_the_database_has(old, autojump_clock):
    stop_id, keeping, base, board = old
    view = await keeping.put_earlier(stop_id)
    assert view == base.rows[stop_id]
    assert (len(view.results), [e.event for e in view.timeline]) == (3, ["requested", "released"])
    assert board.get(stop_id) == view


@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_without_the_database_what_memory_has_is_told_within_half_a_second(old, autojump_clock, how):
    stop_id, keeping, base, board = old
    base.away, base.takes = how == "away", 60.0 if how == "hangs" else 0.0
    view = await keeping.put_earlier(stop_id)
    assert trio.current_time() <= EARLIER_SECONDS
    assert (view.stop_id, view.reason, view.engines, view.results) == (stop_id, "fire", 3, [])
    assert view.released_at == base.rows[stop_id].released_at
    assert board.get(stop_id) == view


async def test_only_some_of_what_was_looked_for_stays_on_the_board(old, autojump_clock, monkeypatch):
    stop_id, keeping, base, board = old
    monkeypatch.setattr(actors.stops.keeping, "EARLIER", 1)
    await keeping.put_earlier(stop_id)
    for _ in range(2):
        await keeping.put_earlier(stop_id)
    assert board.get(stop_id) is None


async def test_a_stop_that_is_open_again_is_saved_with_the_story_that_only_the_database_has(old, kit, autojump_clock):
    stop_id, keeping, base, _board = old
    book, story = keeping._book, base.rows[stop_id].timeline
    record = StopRecord(stop_id=stop_id, scope=Scope.everything(), level=Level.FLATTEN, stop_epoch=99)
    book.link_up("E1", [attrs.evolve(record, proof=kit.prove(record))], LatchState.PRESENT, kit.at(5))
    base.away = True
    with pytest.raises(NotKept):
        await keeping.save(stop_id)
    assert base.rows[stop_id].timeline == story
    base.away, base.takes = False, 1.0
    async with trio.open_nursery() as nursery:  # a request for its release saves it too
        nursery.start_soon(keeping.save, stop_id)
        nursery.start_soon(keeping.save, stop_id)
    kept = base.rows[stop_id].timeline
    assert kept[: len(story)] == story
    assert [e.event for e in kept].count("requested") == 1
    assert kept[len(story)].event == "reopened"
    assert book.view(stop_id).timeline == kept


async def test_a_stop_whose_last_view_is_not_in_the_database_yet_is_not_put_away(old, kit, autojump_clock):
    _old, keeping, base, _board = old
    book = keeping._book
    stop_id = book.take(StopRequest(request_id="r1"), "kim", kit.at(6)).stop_id
    plan = book.plan_release(stop_id, [], resume=True, user_id="lee", reason="over", now=kit.at(7))
    book.apply_release(plan, kit.at(8))
    book.became_durable(stop_id, book.runs[stop_id].epoch)
    keeping.changed(stop_id)
    keeping._to_show.clear()
    base.takes = 10.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeping.keep_database)
        await trio.sleep(5)  # it is being written
        keeping.fold()
        assert stop_id in book.runs
        nursery.cancel_scope.cancel()  # and that is given up
    keeping.fold()
    assert stop_id in book.runs
    base.takes = 0.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeping.keep_database)
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    keeping._to_show.clear()
    keeping.fold()
    assert stop_id in book.past
    assert [e.event for e in base.rows[stop_id].timeline] == ["requested", "released"]


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
