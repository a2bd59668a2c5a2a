"""What must survive: the journal, the way out, the settings, and the keeper that makes them safe."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.messages import ErrorReport, HealthUpdate, ParameterResult, TradeLog
from wire.sdk.journal import Journal, decode_lines, encode_line
from wire.sdk.keeper import Keeper
from wire.sdk.outlet import Outlet, SpoolLane, new_id
from wire.sdk.settings import Settings, Tuned
from wire.sdk.syncing import Fsync
from wire.sdk.work import Outcome, Work
from wire.values import ErrorCategory, LogCategory, ProcessStatus, ResultStatus, Severity

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
lines = st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=3), max_size=6)


def log(n):
    return TradeLog(id=f"log-{n}", category=LogCategory.SYSTEM, message=f"line {n}", timestamp=AT)


@given(lines, st.data())
def test_a_journal_cut_or_changed_anywhere_reads_back_as_the_whole_lines_before(many, data):
    raw = b"".join(encode_line(line) for line in many)
    assert decode_lines(raw) == (many, False)
    if not raw:
        return
    cut = data.draw(st.integers(0, len(raw) - 1))
    kept, _ = decode_lines(raw[:cut])
    assert kept == many[: len(kept)]
    flipped = raw[:cut] + bytes([raw[cut] ^ 1]) + raw[cut + 1 :]
    kept, torn = decode_lines(flipped)
    assert torn
    assert kept == many[: len(kept)]


def test_a_torn_tail_is_cut_off_and_appending_goes_on(tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.load()
    journal.append({"n": 1})
    journal.close()
    with path.open("ab") as file:
        file.write(b"12345678 {half")
    journal = Journal(path)
    assert journal.load() == ([{"n": 1}], True)
    journal.append({"n": 2})
    journal.sync()
    journal.close()
    assert decode_lines(path.read_bytes()) == ([{"n": 1}, {"n": 2}], False)


class Disk:
    """Takes nothing while it is full."""

    def __init__(self, monkeypatch):
        self.full, self._write = False, os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor, data):
        if self.full:
            raise OSError(28, "No space left on device")
        return self._write(descriptor, data)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.mark.parametrize("torn", [False, True])
def test_a_disk_that_is_full_at_the_start_takes_nothing_from_what_was_there(tmp_path, disk, torn):
    path = tmp_path / "outbox"
    first = Outlet(path, new_id=new_id)
    first.open()
    first.send(log(1))
    first.close()
    if torn:
        with path.open("ab") as file:
            file.write(b"12345678 {half")
    before = path.read_bytes()
    disk.full, told = True, []
    outlet = Outlet(path, new_id=new_id)
    outlet.failed = told.append
    assert outlet.open() is not torn
    outlet.send(log(2))
    assert [s.id for s in outlet.waiting()] == ["log-1", "log-2"]
    assert (len(told), outlet.is_behind, path.read_bytes()) == (1, True, before)
    disk.full = False
    work = Work([SpoolLane(outlet, failed=told.append)])
    ((lane, job),) = work.jobs(1.0)
    work.finished(lane, job, Outcome(value=job.work()), 1.0)
    outlet.send(log(3))
    outlet.close()
    again = Outlet(path, new_id=new_id)
    again.open()
    assert [s.id for s in again.waiting()] == ["log-1", "log-2", "log-3"]
    again.close()


def test_text_that_is_no_utf_8_is_kept_too(tmp_path):
    journal = Journal(tmp_path / "journal")
    journal.load()
    journal.append({"said": "a\ud800\x00b"})
    journal.close()
    assert Journal(tmp_path / "journal").load() == ([{"said": "a\ud800\x00b"}], False)


@pytest.fixture
def make_outlet(tmp_path):
    opened = []

    def make(**options):
        outlet = Outlet(tmp_path / "outbox", new_id=new_id, **options)
        outlet.open()
        opened.append(outlet)
        return outlet

    yield make
    for outlet in opened:
        outlet.close()


def test_what_was_sent_survives_the_process_until_it_is_acknowledged(make_outlet):
    outlet = make_outlet()
    for n in range(3):
        outlet.send(log(n))
    outlet.acknowledged(["log-1", "nobody's"])
    again = make_outlet()
    assert [s.id for s in again.waiting()] == ["log-0", "log-2"]
    assert again.waiting()[0].message == log(0)


def test_a_link_gets_every_message_once_and_a_new_link_gets_them_again(make_outlet):
    outlet = make_outlet()
    for n in range(3):
        outlet.send(log(n))
    assert [s.id for s in outlet.take_fresh(2)] == ["log-0", "log-1"]
    outlet.acknowledged(["log-2"])
    assert outlet.take_fresh(9) == []
    outlet.rewind()
    assert [s.id for s in outlet.take_fresh(9)] == ["log-0", "log-1"]


def test_what_is_said_of_errors_and_stops_does_not_wait_behind_logs_that_nobody_acknowledges(make_outlet):
    outlet = make_outlet()
    for n in range(3):
        outlet.send(log(n))
    report = ErrorReport(
        code="error_x", category=ErrorCategory.RISK, reason="r", severity=Severity.ERROR, degraded=False
    )
    report_id = outlet.send(report)
    assert [s.id for s in outlet.take_fresh(0)] == [report_id]
    outlet.rewind()
    assert [s.id for s in outlet.take_fresh(2)] == [report_id, "log-0"]


def test_of_a_conflated_message_only_the_newest_waits(make_outlet):
    outlet = make_outlet()
    for cpu in (1.0, 2.0):
        outlet.send(
            HealthUpdate(
                cpu_usage=cpu,
                memory_usage=1.0,
                process_status=ProcessStatus.RUNNING,
                engine_count=1,
                active_strategies=1,
                last_update=AT,
            )
        )
    assert [m.cpu_usage for m in outlet.take_latest()] == [2.0]
    assert outlet.take_latest() == []
    assert len(outlet) == 0


def test_a_full_spool_drops_the_oldest_logs_and_says_so(make_outlet):
    outlet = make_outlet(capacity=5)
    for n in range(9):
        outlet.send(log(n))
    kept = [s.message for s in outlet.waiting()]
    assert any(isinstance(m, ErrorReport) and m.code == "error_outbox_overflow" for m in kept)
    assert kept[-1] == log(8)
    assert outlet.lost == 5


def test_settings_come_back_and_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "settings"
    settings = Settings(path)
    assert settings.load()
    settings.tuned["s1"] = Tuned(parameters={"maxPositionSize": 4}, version=7)
    settings.paused = {"s2"}
    result = ParameterResult(
        request_id="r1", strategy_id="s1", status=ResultStatus.APPLIED, parameters={"maxPositionSize": 4}, version=7
    )
    settings.remember(result, AT)
    settings.write(settings.encode())
    again = Settings(path)
    assert again.load()
    assert (again.tuned, again.paused, again.answered("r1")) == (settings.tuned, {"s2"}, result)
    again.remember(result, AT + timedelta(hours=25))
    assert list(again.executed) == ["r1"]
    path.write_bytes(b"{")
    assert not Settings(path).load()


def keeper_of(state, written, failures):
    def write(data):
        outcome = failures.pop(0) if failures else None
        if outcome is not None:
            raise outcome
        written.append(data)

    return Keeper(encode=lambda: "".join(state).encode(), write=write, failed=lambda e: state.append(e.strerror))


def carry_out(work, now):
    """Everything that is to be done now; how many jobs that were."""
    started = work.jobs(now)
    for lane, job in started:
        try:
            outcome = Outcome(value=job.work())
        except Exception as error:
            outcome = Outcome(error=error)
        work.finished(lane, job, outcome, now)
    return len(started)


def test_a_version_is_safe_only_when_a_state_as_new_as_it_is_written():
    state, written = ["a"], []
    keeper = keeper_of(state, written, [])
    work = Work([keeper])
    keeper.changed()
    ((lane, first),) = work.jobs(0.0)
    state.append("b")
    newer = keeper.changed()
    assert work.jobs(0.0) == []  # one writer
    work.finished(lane, first, Outcome(value=first.work()), 0.0)
    assert keeper.safe < newer
    assert not keeper.is_safe
    carry_out(work, 0.0)
    assert (written, keeper.safe, keeper.is_safe) == ([b"a", b"ab"], newer, True)


def test_a_failing_disk_is_tried_again_told_once_and_nobody_hears_that_it_is_safe():
    state, written, failures = [], [], [OSError(28, "no space")] * 3
    keeper = keeper_of(state, written, failures)
    safe = []
    keeper.listeners["test"] = lambda: safe.append(keeper.safe)
    work = Work([keeper])
    keeper.changed()
    now, tries = 0.0, 0
    while not keeper.is_safe:
        tries += carry_out(work, now)
        assert safe == ([1] if keeper.is_safe else [])
        now = work.deadline() or now
    assert (tries, state, len(written)) == (4, ["no space"], 1)
    assert 0.3 < now < 0.5


class FullDisk:
    """Stands before a journal: nothing can be appended while ``full``."""

    def __init__(self, journal):
        self._append = journal.append
        self.full = False
        journal.append = self.append

    def append(self, line):
        if self.full:
            raise OSError(28, "no space")
        self._append(line)


def test_a_full_disk_loses_nothing_and_stops_nothing(make_outlet, tmp_path):
    outlet = make_outlet()
    told = []
    outlet.failed = told.append
    work = Work([SpoolLane(outlet, failed=told.append)])
    disk = FullDisk(outlet._journal)
    outlet.send(log(0))
    disk.full = True
    outlet.send(log(1))
    outlet.send(log(2))
    outlet.acknowledged(["log-0"])
    assert outlet.is_behind
    assert len(told) == 1
    disk.full = False
    ((lane, job),) = work.jobs(1.0)
    outlet.send(log(3))  # while the file is being written anew
    outlet.acknowledged(["log-1"])
    work.finished(lane, job, Outcome(value=job.work()), 1.0)
    assert not outlet.is_behind
    outlet.send(log(4))
    assert [s.id for s in make_outlet().waiting()] == ["log-2", "log-3", "log-4"]


def test_an_engine_that_ends_before_the_file_was_whole_again_writes_it_then(make_outlet):
    outlet = make_outlet()
    disk = FullDisk(outlet._journal)
    disk.full = True
    outlet.send(log(0))
    disk.full = False
    outlet.send(log(1))
    outlet.make_whole()
    outlet.send(log(2))
    outlet.make_whole()
    outlet.close()
    assert [s.id for s in make_outlet().waiting()] == ["log-0", "log-1", "log-2"]


def test_a_file_of_acknowledgements_is_made_short_without_losing_what_waits(make_outlet, tmp_path):
    outlet = make_outlet()
    work = Work([SpoolLane(outlet, failed=pytest.fail)])
    for n in range(2600):
        outlet.send(log(n))
        if n:
            outlet.acknowledged([f"log-{n}"])
    before = (tmp_path / "outbox").stat().st_size
    assert carry_out(work, 1.0) == 1
    assert (tmp_path / "outbox").stat().st_size < before / 100
    assert [s.id for s in make_outlet().waiting()] == ["log-0"]


@pytest.mark.parametrize("fsync", Fsync)
def test_the_policy_says_when_a_line_is_safe_from_a_power_cut(tmp_path, monkeypatch, fsync):
    synced = []
    monkeypatch.setattr("wire.sdk.journal.os.fdatasync", lambda _fd: synced.append(1))
    outlet = Outlet(tmp_path / "outbox", new_id=new_id, fsync=fsync)
    outlet.open()
    outlet.send(log(0))
    at_once = len(synced)
    carry_out(Work([SpoolLane(outlet, failed=pytest.fail)]), 1.0)
    outlet.close()
    expected = {Fsync.ALWAYS: (1, 1), Fsync.INTERVAL: (0, 1), Fsync.NEVER: (0, 0)}
    assert (at_once, len(synced)) == expected[fsync]
