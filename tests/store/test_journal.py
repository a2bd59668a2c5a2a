"""The stop journal: what was acknowledged is found again, and nothing that was not written is believed."""

import contextlib
import errno
import itertools
import json
import os
import random
import resource
import subprocess
import sys
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import journal as journal_module
from store.errors import JournalError
from store.journal import StopJournal, read_journal
from store.journal_records import (
    EpochNoted,
    Genesis,
    JournalState,
    ReleaseNoted,
    Replayed,
    StopNoted,
    encode,
    evolve,
    replay,
    verify,
)
from wire.stops import Level, Scope

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
GENESIS = Genesis(platform_id="p", database_id="d", generation=1, at=NOW)


def a_stop(stop_id="S1", epoch=1, level=Level.HALT, reason="긴급 정지"):
    return StopNoted(
        stop_id=stop_id,
        request_id=f"r-{stop_id}",
        scope=Scope.everything(),
        level=level,
        stop_epoch=epoch,
        user_id="ann",
        reason=reason,
        cause="operator",
        at=NOW,
    )


def a_release(*stop_ids, epoch):
    return ReleaseNoted(stop_ids=list(stop_ids), epoch=epoch, user_id="rik", at=NOW)


HISTORY = (
    GENESIS,
    a_stop("S1", 1),
    a_stop("S1", 2, Level.FLATTEN),
    EpochNoted(epoch=3, term=1, at=NOW),
    a_release("S1", epoch=3),
    a_stop("S2", 4, reason='a "quote", a \n line and },"mac":"'),
)


def text_of(records, key=KEY):
    lines, mac = [], b""
    for number, record in enumerate(records):
        line, mac = encode(key, mac, number, record)
        lines.append(line)
    return lines


@pytest.fixture
def path(tmp_path):
    return tmp_path / "stops.journal"


@pytest.fixture
def journal(path):
    journal = StopJournal.begin(path, KEY, GENESIS, clock=lambda: NOW)
    yield journal
    journal.close()


@pytest.fixture
def failing(monkeypatch):
    """Lets the next syncs fail, one for every True."""
    plan, sync = [], journal_module._sync

    def maybe(descriptor):
        if plan and plan.pop(0):
            raise OSError(errno.EIO, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(journal_module, "_sync", maybe)
    return plan


# --- the text -------------------------------------------------------------------------------------------------------


def test_a_history_comes_back_as_it_was_written():
    reading = verify(b"".join(text_of(HISTORY)), KEY)
    assert (reading.state, reading.records) == (JournalState.VERIFIED, HISTORY)
    assert reading.genesis == GENESIS
    assert reading.last_epoch == 4
    assert [stop.stop_id for stop in reading.replayed().open_stops()] == ["S2"]


def test_every_record_is_one_json_line():
    for number, line in enumerate(text_of(HISTORY)):
        assert line.count(b"\n") == 1
        assert json.loads(line)["n"] == number


def test_every_truncation_is_told_and_keeps_what_was_whole():
    lines = text_of(HISTORY)
    data, ends = b"".join(lines), set(itertools.accumulate(len(line) for line in lines))
    for length in range(len(data)):
        reading = verify(data[:length], KEY)
        whole = sum(end <= length for end in ends)
        assert reading.records == HISTORY[:whole]
        assert reading.state is (JournalState.VERIFIED if length in ends else JournalState.TORN)


def test_every_flipped_bit_is_told_and_nothing_after_it_is_believed():
    lines = text_of(HISTORY)
    data, ends = b"".join(lines), list(itertools.accumulate(len(line) for line in lines))
    for at, bit in itertools.product(range(len(data)), range(8)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << bit
        reading = verify(bytes(flipped), KEY)
        assert reading.state is not JournalState.VERIFIED
        assert reading.records == HISTORY[: sum(end <= at for end in ends)]


@pytest.mark.parametrize("at", range(len(HISTORY)))
def test_a_line_left_out_put_in_or_moved_is_told(at):
    lines = text_of(HISTORY)
    without = lines[:at] + lines[at + 1 :]
    twice = [*lines[: at + 1], *lines[at:]]
    moved = [*without, lines[at]]
    for changed in (twice, without if at < len(lines) - 1 else twice, moved if at < len(lines) - 1 else twice):
        assert verify(b"".join(changed), KEY).state is JournalState.CORRUPT


def test_a_line_of_another_journal_of_ours_does_not_fit():
    other = text_of((attrs.evolve(GENESIS, generation=2), *HISTORY[1:]))
    mixed = text_of(HISTORY)[:3] + other[3:]
    assert verify(b"".join(mixed), KEY).state is JournalState.CORRUPT


def test_a_second_genesis_is_out_of_place():
    assert verify(b"".join(text_of((GENESIS, GENESIS))), KEY).state is JournalState.CORRUPT
    assert verify(b"".join(text_of(HISTORY[1:])), KEY).state is JournalState.CORRUPT


def test_a_journal_of_another_home_is_foreign(path):
    StopJournal.begin(path, OTHER_KEY, GENESIS).close()
    reading = read_journal(path, KEY)
    assert (reading.state, reading.records) == (JournalState.FOREIGN, ())


@given(st.binary(max_size=300))
def test_no_bytes_at_all_are_believed_or_make_it_raise(data):
    for candidate in (data, data + b"\n", b"[" * 5000 + data + b"\n"):
        reading = verify(candidate, KEY)
        assert reading.state in (JournalState.TORN, JournalState.CORRUPT, JournalState.FOREIGN)
        assert reading.records == ()


ids = st.sampled_from(["A", "B", "C"])
moves = st.lists(
    st.one_of(
        st.builds(a_stop, ids, st.integers(1, 9), st.sampled_from(list(Level))),
        st.builds(lambda i, e: a_release(i, epoch=e), ids, st.integers(1, 9)),
        st.builds(lambda e: EpochNoted(epoch=e, term=1, at=NOW), st.integers(1, 9)),
    ),
    max_size=8,
)


def test_who_wanted_a_stop_and_why_and_whether_it_is_a_drill_is_what_its_highest_epoch_says():
    hold = evolve(a_stop(level=Level.REDUCE_ONLY), user_id="platform", cause="parameters_differ", drill=True)
    raised = a_stop(epoch=2, level=Level.REDUCE_ONLY, reason="a person wants it too")
    for records in ((hold, raised), (raised, hold), (hold, raised, hold)):
        state = replay((GENESIS, *records))
        assert state.stops["S1"] == raised
        carried = replay((evolve(GENESIS, stops=state.open_stops(), floor=2),))
        assert carried.stops["S1"] == raised


def test_a_release_of_a_stop_the_journal_never_had_is_remembered():
    assert replay((GENESIS, a_release("D", epoch=3), a_release("D", epoch=2))).releases == {"D": 3}


@given(moves)
def test_a_journal_begun_anew_carries_what_was_open_and_its_epoch(records):
    before = replay((GENESIS, *records))
    carried = attrs.evolve(GENESIS, generation=2, floor=before.register.epoch, stops=before.open_stops())
    after = Replayed().after(carried)
    assert dict(after.register.open_stops()) == {
        i: attrs.evolve(e, released_epoch=None) for i, e in before.register.open_stops()
    }
    assert after.register.epoch == before.register.epoch


# --- the file -------------------------------------------------------------------------------------------------------


def test_where_there_is_no_file_the_journal_is_new(path):
    assert read_journal(path, KEY).state is JournalState.NEW


def test_what_is_appended_is_read_and_resumed(journal, path):
    for record in HISTORY[1:4]:
        assert journal.append(record).durable
    journal.close()
    resumed = StopJournal.resume(path, KEY, read_journal(path, KEY))
    for record in HISTORY[4:]:
        assert resumed.append(record).durable
    resumed.close()
    reading = read_journal(path, KEY)
    assert (reading.state, reading.records[1:]) == (JournalState.VERIFIED, HISTORY[1:])
    assert resumed.state == reading.replayed()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_journal_that_is_not_whole_is_never_resumed_nor_shortened(journal, path):
    journal.append(a_stop())
    journal.close()
    torn = path.read_bytes()[:-1]
    path.write_bytes(torn)
    reading = read_journal(path, KEY)
    assert reading.state is JournalState.TORN
    with pytest.raises(JournalError, match="torn"):
        StopJournal.resume(path, KEY, reading)
    assert path.read_bytes() == torn
    StopJournal.begin(path, KEY, attrs.evolve(GENESIS, generation=2)).close()
    assert path.with_name("stops.journal.1").read_bytes() == torn
    assert read_journal(path, KEY).genesis.generation == 2


def test_every_old_file_is_kept(journal, path):
    journal.append(a_stop())
    journal.rotate()
    journal.rotate()
    journal.append(a_release("S1", epoch=2))
    generations = [read_journal(p, KEY).genesis.generation for p in sorted(path.parent.glob("stops.journal*"))]
    assert sorted(generations) == [1, 2, 3]
    reading = read_journal(path, KEY)
    assert [stop.stop_id for stop in reading.genesis.stops] == ["S1"]
    assert reading.genesis.previous == read_journal(path.with_name("stops.journal.2"), KEY).last_mac.hex()
    assert reading.replayed().open_stops() == []


@pytest.mark.parametrize("number", sorted(journal_module.NO_LINKS))
def test_on_a_file_system_without_second_names_the_old_file_is_copied(journal, path, monkeypatch, number):
    def link(*_paths):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    journal.append(a_stop())
    before = path.read_bytes()
    journal.rotate()
    assert path.with_name("stops.journal.1").read_bytes() == before
    assert journal.append(a_stop("S2", 5)).durable
    assert {s.stop_id for s in read_journal(path, KEY).replayed().open_stops()} == {"S1", "S2"}


def test_a_file_that_is_full_is_followed_by_one_that_carries_what_is_open_and_few_old_ones_stay(path):
    journal = StopJournal.begin(path, KEY, GENESIS, clock=lambda: NOW, max_bytes=2_000)
    journal.append(a_stop("S1", 1))
    for epoch in range(2, 400):
        assert journal.append(EpochNoted(epoch=epoch, term=1, at=NOW)).durable
        assert path.stat().st_size < 2_500
    journal.close()
    reading = read_journal(path, KEY)
    assert (reading.state, reading.last_epoch) == (JournalState.VERIFIED, 399)
    assert [stop.stop_id for stop in reading.replayed().open_stops()] == ["S1"]
    assert reading.genesis.generation == journal.generation > journal_module.KEPT + 2
    old = sorted(int(p.suffix[1:]) for p in path.parent.glob("stops.journal.*"))
    assert old == list(range(journal.generation - journal_module.KEPT, journal.generation))


def test_a_new_file_remembers_what_was_released_last(journal, path):
    for number in range(1, 300):
        journal.append(a_stop(f"S{number}", 2 * number), a_release(f"S{number}", epoch=2 * number + 1))
    journal.rotate()
    journal.rotate()
    replayed = read_journal(path, KEY).replayed()
    assert replayed.open_stops() == []
    assert sorted(replayed.register.released_ids(), key=lambda i: int(i[1:])) == [f"S{n}" for n in range(44, 300)]
    assert replayed.releases["S299"] == 599
    journal.append(a_stop("S299", 700))
    assert [s.stop_id for s in journal.state.open_stops()] == ["S299"]


def test_many_open_stops_do_not_make_every_append_begin_a_file(path):
    journal = StopJournal.begin(path, KEY, GENESIS, clock=lambda: NOW, max_bytes=2_000)
    for number in range(60):
        journal.append(a_stop(f"S{number}", number + 1))
    assert journal.generation < 12
    journal.close()
    assert len(read_journal(path, KEY).replayed().open_stops()) == 60


def test_records_of_one_append_are_synced_once(journal, path, monkeypatch):
    syncs, sync = [], journal_module._sync
    monkeypatch.setattr(journal_module, "_sync", lambda descriptor: (syncs.append(1), sync(descriptor)))
    assert journal.append(*HISTORY[1:]).durable
    assert len(syncs) == 1
    assert read_journal(path, KEY).records[1:] == HISTORY[1:]


CALLS = ("open", "write", "close", "link", "replace", "unlink", "fdatasync", "fsync")


class Crash(BaseException):
    """The process is gone at this call."""


def interrupted(monkeypatch, at, what):
    """The ``at``-th call of the operating system from now on raises ``what``; returns the calls made."""
    calls = []

    def counted(name, real):
        def call(*args, **kw):
            calls.append(name)
            if len(calls) - 1 == at:
                raise what
            return real(*args, **kw)

        return call

    fake = type("os", (), {name: staticmethod(getattr(os, name)) for name in dir(os) if not name.startswith("__")})
    for name in CALLS:
        setattr(fake, name, staticmethod(counted(name, getattr(os, name))))
    monkeypatch.setattr(journal_module, "os", fake)
    return calls


@pytest.mark.parametrize("at", range(12))
def test_whenever_the_process_dies_while_a_file_follows_there_is_one_whole_journal(path, monkeypatch, at):
    journal = StopJournal.begin(path, KEY, GENESIS, clock=lambda: NOW)
    journal.append(a_stop("S1", 1), a_stop("S2", 2), a_release("S2", epoch=3))
    calls = interrupted(monkeypatch, at, Crash())
    try:
        journal.rotate()
    except Crash:
        assert len(calls) > at
    else:
        assert len(calls) <= at
    monkeypatch.undo()
    reading = read_journal(path, KEY)
    assert reading.state is JournalState.VERIFIED
    assert [stop.stop_id for stop in reading.replayed().open_stops()] == ["S1"]
    assert reading.last_epoch == 3
    resumed = StopJournal.resume(path, KEY, reading)
    assert resumed.append(a_stop("S3", 4)).durable
    resumed.rotate()
    resumed.close()
    assert {s.stop_id for s in read_journal(path, KEY).replayed().open_stops()} == {"S1", "S3"}


@pytest.mark.parametrize("at", range(12))
def test_whichever_call_fails_while_a_file_follows_what_is_said_to_be_durable_is_in_the_file_in_place(
    path, monkeypatch, at
):
    journal = StopJournal.begin(path, KEY, GENESIS, clock=lambda: NOW)
    journal.append(a_stop("S1", 1))
    interrupted(monkeypatch, at, OSError(errno.EIO, "Input/output error"))
    with contextlib.suppress(JournalError):
        journal.rotate()
    monkeypatch.undo()
    durable = journal.append(a_stop("S2", 2)).durable
    reading = read_journal(path, KEY)
    assert reading.state is JournalState.VERIFIED
    assert durable
    assert {s.stop_id for s in reading.replayed().open_stops()} == {"S1", "S2"}


def test_a_full_disk_at_the_change_of_files_costs_nothing_but_the_change(path, monkeypatch, failing):
    journal = StopJournal.begin(path, KEY, GENESIS, clock=lambda: NOW, max_bytes=1_000)
    epoch = 0
    while journal.generation == 1 and epoch < 50:
        epoch += 1
        failing[:] = [False, True]  # the record is synced, the file that follows is not
        assert journal.append(EpochNoted(epoch=epoch, term=1, at=NOW)).durable
        assert read_journal(path, KEY).last_epoch == epoch
    assert (journal.generation, epoch) == (1, 50)
    failing.clear()
    while journal.generation == 1 and epoch < 99:
        epoch += 1
        assert journal.append(EpochNoted(epoch=epoch, term=1, at=NOW)).durable
    assert (journal.generation, read_journal(path, KEY).last_epoch) == (2, epoch)


def test_a_release_that_is_written_before_its_stop_ends_it_all_the_same():
    early = replay((GENESIS, a_release("S1", epoch=5), a_stop("S1", 3)))
    assert early.open_stops() == []
    assert [s.stop_id for s in replay((GENESIS, a_release("S1", epoch=5), a_stop("S1", 6))).open_stops()] == ["S1"]


def test_a_journal_that_cannot_be_begun_leaves_the_old_one(journal, path, failing):
    failing += [True]
    with pytest.raises(JournalError, match="Input/output"):
        StopJournal.begin(path, KEY, attrs.evolve(GENESIS, generation=2))
    assert read_journal(path, KEY).genesis.generation == 1
    failing += [True]
    with pytest.raises(JournalError):
        journal.rotate()
    assert journal.append(a_stop()).durable
    assert read_journal(path, KEY).last_epoch == 1


def test_after_a_failed_sync_the_descriptor_is_never_used_again_and_the_stop_is_carried(journal, path, failing):
    journal.append(a_stop("S1", 1))
    broken = os.fstat(journal._file).st_ino
    failing += [True]
    answer = journal.append(a_stop("S2", 2))
    assert (answer.durable, answer.generation, answer.reason) == (False, 2, "Input/output error")
    assert os.fstat(journal._file).st_ino != broken
    assert journal.append(a_stop("S3", 3)).durable
    reading = read_journal(path, KEY)
    assert reading.state is JournalState.VERIFIED
    assert {stop.stop_id for stop in reading.replayed().open_stops()} == {"S1", "S2", "S3"}


def test_a_release_that_could_not_be_written_did_not_happen(journal, path, failing):
    journal.append(a_stop("S1", 1))
    failing += [True]
    assert not journal.append(a_release("S1", epoch=2)).durable
    assert [stop.stop_id for stop in journal.state.open_stops()] == ["S1"]
    assert [stop.stop_id for stop in read_journal(path, KEY).replayed().open_stops()] == ["S1"]


def test_while_the_disk_is_gone_every_append_says_so_and_tries_again(journal, path, failing):
    failing += [True, True, True, True]
    assert not journal.append(a_stop("S1", 1)).durable
    assert not journal.append(a_stop("S2", 2)).durable
    answer = journal.append(a_stop("S3", 3))
    assert (answer.durable, answer.generation) == (True, 2)
    assert {stop.stop_id for stop in read_journal(path, KEY).replayed().open_stops()} == {"S1", "S2", "S3"}


# --- real crashes ---------------------------------------------------------------------------------------------------

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from store.journal import StopJournal, read_journal
from store.journal_records import EpochNoted, Genesis, JournalState

path, now = Path(sys.argv[1]), datetime(2026, 3, 2, tzinfo=UTC)
reading = read_journal(path, b"k" * 32)
if reading.state is JournalState.NEW:
    journal = StopJournal.begin(path, b"k" * 32, Genesis(platform_id="p", database_id="d", generation=1, at=now))
else:
    journal = StopJournal.resume(path, b"k" * 32, reading)
epoch = journal.state.register.epoch
while True:
    epoch += 1
    if epoch % 10 == 0:
        journal.rotate()
    if journal.append(EpochNoted(epoch=epoch, term=1, at=now)).durable:
        print(epoch, flush=True)
    else:
        print("lost", flush=True)
"""


def start_writer(path, **options):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, **options)


def test_what_was_acknowledged_survives_kill_9_again_and_again(path):
    dice, acknowledged = random.Random(3), 0
    for _ in range(8):
        with start_writer(path) as writer:
            for _ in range(dice.randrange(1, 40)):
                acknowledged = int(writer.stdout.readline())
            writer.kill()
            rest = writer.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        reading = read_journal(path, KEY)
        assert reading.state is JournalState.VERIFIED
        assert reading.last_epoch in (acknowledged, acknowledged + 1)


def test_a_disk_that_takes_no_more_bytes_is_reported_and_the_next_file_goes_on(path):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    with start_writer(path, preexec_fn=little_room) as writer:
        told = [writer.stdout.readline().strip() for _ in range(60)]
        writer.kill()
    assert "lost" in told
    assert told[-1] != "lost"
    acknowledged = [int(word) for word in told if word != "lost"]
    reading = read_journal(path, KEY)
    assert reading.state in (JournalState.VERIFIED, JournalState.TORN)
    assert reading.last_epoch >= max(acknowledged)
