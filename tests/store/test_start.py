"""The start-up rule: nothing that stopped is forgotten, and ignorance opens HALT, never more and never less."""

import itertools
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from store import platform, stops
from store.journal_records import (
    EpochNoted,
    Genesis,
    JournalReading,
    JournalState,
    ReleaseNoted,
    StopNoted,
    encode,
    verify,
)
from store.start import LOST_JOURNAL, DatabaseReading, merge_at_start, read_database
from tests.stops.ground import noted_view
from wire.rest.stops import Stop, StopState
from wire.stops import Entry, Level, Register, Scope

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = b"k" * 32
GENESIS = Genesis(platform_id="p", database_id="d", generation=1, at=NOW)
NO_JOURNAL = JournalReading(state=JournalState.NEW)


def a_stop(stop_id="S1", epoch=1, level=Level.FLATTEN, cause="operator", scope="engine:E1"):
    return StopNoted(
        stop_id=stop_id,
        request_id=stop_id,
        scope=Scope.parse(scope),
        level=level,
        stop_epoch=epoch,
        user_id="ann",
        reason="",
        cause=cause,
        at=NOW,
    )


def a_release(*stop_ids, epoch):
    return ReleaseNoted(stop_ids=list(stop_ids), epoch=epoch, user_id="rik", at=NOW)


def a_journal(*records, genesis=GENESIS):
    return JournalReading(state=JournalState.VERIFIED, records=(genesis, *records))


def a_database(*records, generation=1, epoch=0, database_id="d"):
    """A database that has seen these records."""
    written = JournalReading(state=JournalState.VERIFIED, records=(GENESIS, *records)).replayed()
    return DatabaseReading(
        platform_id="p",
        database_id=database_id,
        journal_generation=generation,
        register=written.register.at_least(epoch),
        stops=written.stops,
    )


NEW_DATABASE = a_database(generation=None)


def merged(journal, database):
    numbers = itertools.count(1)
    return merge_at_start(journal, database, now=NOW, new_id=lambda: f"new-{next(numbers)}")


def open_levels(start):
    return {stop.stop_id: stop.level for stop in start.open_stops()}


def halts_all(start):
    lost = [s for s in start.open_stops() if s.cause == LOST_JOURNAL]
    return [(s.scope, s.level) for s in lost] == [(Scope.everything(), Level.HALT)]


# --- the first start ------------------------------------------------------------------------------------------------


def test_both_new_is_the_first_start_and_stops_nothing():
    start = merged(NO_JOURNAL, NEW_DATABASE)
    assert start.first_start
    assert start.open_stops() == []
    assert start.findings == ()
    assert (start.genesis.platform_id, start.genesis.database_id, start.genesis.generation) == ("p", "d", 1)


def test_a_crash_between_the_two_first_writes_is_harmless():
    start = merged(a_journal(), NEW_DATABASE)
    assert (start.findings, start.genesis, start.open_stops()) == ((), None, [])


# --- a verified journal ---------------------------------------------------------------------------------------------


def test_a_crash_before_a_release_is_sealed_leaves_its_stop_and_the_kept_one_open_and_halts_nothing_else():
    """Its epoch was in the journal before anything of it was in the database."""
    journal = a_journal(a_stop("S1", 1), EpochNoted(epoch=3, term=1, at=NOW))
    start = merged(journal, a_database(a_stop("S1", 1), a_stop("kept", 2), a_release("S1", epoch=3)))
    assert (start.findings, start.lost_journal) == ((), None)
    assert open_levels(start) == {"S1": Level.FLATTEN, "kept": Level.FLATTEN}
    unreserved = merged(a_journal(a_stop("S1", 1)), a_database(a_stop("S1", 1), a_release("S1", epoch=3)))
    assert halts_all(unreserved)


def test_stops_are_the_union_of_both():
    start = merged(a_journal(a_stop("J", 2), EpochNoted(epoch=9, term=1, at=NOW)), a_database(a_stop("D", 1)))
    assert open_levels(start) == {"J": Level.FLATTEN, "D": Level.FLATTEN}
    assert start.findings == ()
    assert start.genesis is None
    assert start.epoch == 9


def test_of_two_copies_of_a_stop_the_higher_level_and_epoch_hold():
    start = merged(a_journal(a_stop("S", 5, Level.HALT)), a_database(a_stop("S", 3, Level.FLATTEN)))
    assert open_levels(start) == {"S": Level.FLATTEN}
    assert start.register.entries["S"].stop_epoch == 5


def test_a_release_in_the_journal_counts_though_the_database_missed_it():
    start = merged(a_journal(a_stop("S", 1), a_release("S", epoch=2)), a_database(a_stop("S", 1)))
    assert start.open_stops() == []
    assert start.epoch == 2


def test_a_release_the_database_alone_has_was_never_committed():
    journal = a_journal(a_stop("S", 1), EpochNoted(epoch=2, term=1, at=NOW))
    start = merged(journal, a_database(a_stop("S", 1), a_release("S", epoch=2)))
    assert start.findings == ()
    assert open_levels(start) == {"S": Level.FLATTEN}


def test_what_was_settled_before_the_file_was_begun_stays_settled():
    later = attrs.evolve(GENESIS, generation=2, floor=7)
    start = merged(a_journal(genesis=later), a_database(a_stop("S", 3), a_release("S", epoch=4), generation=2))
    assert (start.open_stops(), start.findings) == ([], ())


def test_a_release_is_remembered_over_a_file_begun_while_the_database_is_away():
    before = a_journal(a_stop("S", 1), a_release("S", epoch=2), a_stop("T", 3))
    start = merged(before, None)
    assert [(e.stop.stop_id, e.released_epoch) for e in start.genesis.ended] == [("S", 2)]
    again = merged(a_journal(genesis=start.genesis), None)
    assert not again.register.entries["S"].is_open
    assert again.register.entries["S"].released_epoch == 2


def test_a_release_that_only_a_database_has_is_not_written_into_a_journal():
    start = merged(NO_JOURNAL, a_database(a_stop("S", 3), a_release("S", epoch=4)))
    assert start.genesis.ended == []


# --- a journal that cannot be believed --------------------------------------------------------------------------------

UNBELIEVABLE = {
    "missing": (NO_JOURNAL, a_database(epoch=3)),
    "missing, nothing ever stopped": (NO_JOURNAL, a_database()),
    "missing, the database away": (NO_JOURNAL, None),
    "the database away": (a_journal(), None),
    "torn": (attrs.evolve(a_journal(), state=JournalState.TORN), a_database()),
    "corrupt": (attrs.evolve(a_journal(), state=JournalState.CORRUPT), a_database()),
    "foreign": (JournalReading(state=JournalState.FOREIGN), a_database()),
    "torn at the first start": (JournalReading(state=JournalState.TORN), NEW_DATABASE),
    "of another database": (a_journal(), a_database(database_id="other")),
    "of another database, which is new": (a_journal(), attrs.evolve(NEW_DATABASE, database_id="other")),
    "an older generation": (a_journal(), a_database(generation=2)),
    "an older epoch": (a_journal(EpochNoted(epoch=5, term=1, at=NOW)), a_database(epoch=6)),
}


@pytest.mark.parametrize("journal, database", UNBELIEVABLE.values(), ids=UNBELIEVABLE.keys())
def test_a_journal_that_cannot_be_believed_halts_everything(journal, database):
    start = merged(journal, database)
    assert halts_all(start)
    assert start.findings
    assert start.lost_journal.stop_epoch > max(journal.last_epoch, database.register.epoch if database else 0)
    before = max(journal.genesis.generation if journal.genesis else 0, (database and database.journal_generation) or 0)
    assert start.genesis.generation == before + 1
    assert start.lost_journal in start.genesis.stops
    assert not start.first_start


def test_the_next_start_believes_the_journal_begun_then_and_is_still_halted():
    start = merged(NO_JOURNAL, a_database(a_stop("S", 3)))
    database = a_database(a_stop("S", 3), start.lost_journal, generation=start.genesis.generation)
    again = merged(a_journal(genesis=start.genesis), database)
    assert (again.findings, again.lost_journal, again.genesis) == ((), None, None)
    assert halts_all(again)
    assert open_levels(again)["S"] is Level.FLATTEN


def test_a_journal_lost_twice_halts_once():
    start = merged(NO_JOURNAL, a_database())
    again = merged(NO_JOURNAL, a_database(start.lost_journal))
    assert again.lost_journal is None
    assert halts_all(again)
    assert again.genesis.generation == start.genesis.generation


def test_a_lost_journal_that_was_released_and_is_lost_again_halts_again():
    start = merged(NO_JOURNAL, a_database())
    released = a_database(start.lost_journal, a_release(start.lost_journal.stop_id, epoch=9))
    again = merge_at_start(NO_JOURNAL, released, now=NOW, new_id=lambda: "second")
    assert again.lost_journal.stop_id == "second"
    assert halts_all(again)


def test_ignorance_does_not_flatten_what_the_database_says_was_released():
    start = merged(NO_JOURNAL, a_database(a_stop("S", 3), a_release("S", epoch=4)))
    assert open_levels(start) == {start.lost_journal.stop_id: Level.HALT}


def test_what_the_database_says_is_open_stays_open_without_the_journal():
    start = merged(NO_JOURNAL, a_database(a_stop("S", 3)))
    assert open_levels(start)["S"] is Level.FLATTEN


def test_a_torn_journal_s_verified_stops_are_open_whatever_the_database_says():
    torn = attrs.evolve(a_journal(a_stop("S", 3)), state=JournalState.TORN)
    start = merged(torn, a_database(a_stop("S", 3), a_release("S", epoch=4)))
    assert open_levels(start)["S"] is Level.FLATTEN
    assert halts_all(start)


# --- every crash ------------------------------------------------------------------------------------------------------

step = st.fixed_dictionaries(
    {
        "what": st.sampled_from(["stop", "raise", "release"]),
        "id": st.sampled_from(["A", "B", "C"]),
        "level": st.sampled_from([Level.REDUCE_ONLY, Level.HALT, Level.CANCEL, Level.FLATTEN]),
        "journal": st.booleans(),
        "database": st.booleans(),
    }
)


class History:
    """A platform that writes in the order of the contract, on a journal and a database that may each fail."""

    def __init__(self):
        self.records, self.lines, self.mac = [], [], b""
        self.database = a_database()
        self.open = {}
        self.released = set()
        self.epoch = 0
        self.journal(GENESIS)

    def journal(self, record):
        line, self.mac = encode(KEY, self.mac, len(self.lines), record)
        self.lines.append(line)

    def store(self, record):
        register, known = self.database.register, dict(self.database.stops)
        if isinstance(record, StopNoted):
            register = register.with_stop(record.stop_id, record.entry())
            known.setdefault(record.stop_id, record)
        else:
            register = register.with_release(record.stop_ids, record.epoch)
        self.database = attrs.evolve(self.database, register=register, stops=known)

    def do(self, step):
        self.epoch += 1
        if step["what"] == "release":
            self.release(step)
        elif step["id"] not in self.released:
            self.stop(step)

    def stop(self, step):
        record = a_stop(step["id"], self.epoch, step["level"])
        if step["journal"]:
            self.journal(record)
        if step["database"]:
            self.store(record)
        if step["journal"] or step["database"]:  # answered: durable
            self.open[step["id"]] = max(step["level"], self.open.get(step["id"], Level.NORMAL))

    def release(self, step):
        if step["id"] not in self.open or not step["database"]:
            return
        record = a_release(step["id"], epoch=self.epoch)
        self.store(record)
        if step["journal"]:
            self.journal(record)
            del self.open[step["id"]]
            self.released.add(step["id"])


@hypothesis_settings(max_examples=300)
@given(st.lists(step, max_size=12))
def test_no_stop_that_was_answered_is_ever_forgotten(steps):
    history = History()
    for one in steps:
        history.do(one)
    start = merged(verify(b"".join(history.lines), KEY), history.database)
    levels = open_levels(start)
    for stop_id, level in history.open.items():
        if start.findings and stop_id not in verify(b"".join(history.lines), KEY).replayed().stops:
            assert halts_all(start)  # it cannot be told whether its release was committed
        else:
            assert levels[stop_id] >= level
    assert start.epoch >= max(verify(b"".join(history.lines), KEY).last_epoch, history.database.register.epoch)
    if not start.findings:
        assert not set(levels) & history.released


@hypothesis_settings(max_examples=300)
@given(st.lists(step, max_size=12), st.data())
def test_whatever_is_left_of_the_journal_what_the_database_holds_open_is_stopped(steps, data):
    history = History()
    for one in steps:
        history.do(one)
    whole = b"".join(history.lines)
    left = whole[: data.draw(st.integers(0, len(whole)))]
    if data.draw(st.booleans()) and left:
        at = data.draw(st.integers(0, len(left) - 1))
        left = left[:at] + bytes([left[at] ^ 0x40]) + left[at + 1 :]
    start = merged(verify(left, KEY), history.database)
    released_in_journal = set(verify(left, KEY).replayed().register.released_ids())
    for stop_id, entry in history.database.register.open_stops():
        if stop_id not in released_in_journal:
            assert open_levels(start)[stop_id] >= entry.level
    for stop_id, level in history.open.items():
        everything = (
            max(s.level for s in start.open_stops() if str(s.scope) == "all") if start.findings else Level.NORMAL
        )
        held = max(open_levels(start).get(stop_id, Level.NORMAL), everything)
        assert held >= min(level, Level.HALT)


# --- the database's reading -------------------------------------------------------------------------------------------


@pytest.mark.database
async def test_the_database_s_copy_is_read_whole(db):
    term = (await db.run(platform.begin_term)).term
    for stop_id, epoch in (("A", 1), ("B", 2)):
        stop = Stop(
            stop_id=stop_id,
            request_id=stop_id,
            epoch=epoch,
            scope=Scope.everything(),
            level=Level.CANCEL,
            user_id="ann",
            reason="r",
            requested_at=NOW,
            delivered=0,
            engines=0,
            durable=True,
            state=StopState.RUNNING,
            results=[],
        )
        await db.run(stops.save, term, stop, tx={})
    await db.run(stops.release, term, ["A"], 3, NOW, tx={})
    reading = await db.run(read_database, tx={"isolation": "repeatable_read"})
    assert not reading.is_new
    assert reading.journal_generation is None
    assert reading.register == Register(
        entries={
            "A": Entry(Scope.everything(), Level.CANCEL, 1, 3),
            "B": Entry(Scope.everything(), Level.CANCEL, 2),
        },
        floor=3,
    )
    assert reading.stops["B"] == noted_view(stop)
    await db.run(platform.note_journal, term, 1)
    assert (await db.run(read_database)).journal_generation == 1


@pytest.mark.database
async def test_a_fresh_database_is_new(db):
    assert (await db.run(read_database)).is_new


def test_who_stopped_and_why_is_what_the_copy_with_the_highest_epoch_says():
    first, raised = a_stop(epoch=1, cause="parameters_differ"), a_stop(epoch=2)
    for journal, database in (([first, raised], [first]), ([first], [first, raised]), ([raised], [first])):
        start = merged(a_journal(*journal), a_database(*database))
        assert start.stops["S1"] == raised
        if start.genesis is not None:
            assert raised in start.genesis.stops
