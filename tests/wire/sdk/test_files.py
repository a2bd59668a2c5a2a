"""What must survive: the journal, the way out, the settings, and the keeper that makes them safe."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from wire.messages import (
    ErrorCategory,
    ErrorReport,
    HealthUpdate,
    LogCategory,
    ParameterResult,
    ProcessStatus,
    ResultStatus,
    Severity,
    TradeLog,
)
from wire.sdk.journal import Journal, decode_lines, encode_line
from wire.sdk.keeper import Keeper
from wire.sdk.outlet import Outlet, new_id
from wire.sdk.settings import Settings, Tuned

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


async def test_persist_returns_only_when_a_state_as_new_as_the_call_is_written():
    state, written, proceed = ["a"], [], threading.Semaphore(0)

    def write(data):
        proceed.acquire()
        written.append(data)

    keeper = Keeper(encode=lambda: "".join(state).encode(), write=write, failed=lambda _e: None)
    keeper.changed()
    done = []

    async def persist(name):
        await keeper.persist()
        done.append((name, written[-1]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(persist, "first")
        await trio.testing.wait_all_tasks_blocked()
        state.append("b")
        keeper.changed()
        nursery.start_soon(persist, "second")
        await trio.testing.wait_all_tasks_blocked()
        proceed.release()
        proceed.release()
    assert dict(done)["second"] == b"ab"
    assert keeper.is_safe


async def test_a_failing_disk_is_tried_again_and_nobody_is_told_it_is_safe():
    attempts, failures = [], []

    def write(_data):
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError(28, "no space")

    keeper = Keeper(encode=lambda: b"", write=write, failed=failures.append)
    keeper.changed()
    await keeper.persist()
    assert (len(attempts), len(failures), keeper.is_safe) == (3, 2, True)
