"""The embedded PostgreSQL: it comes up whole, shares, dies with its owner, and refuses in one line."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import psutil
import pytest
import trio

from store import embedded_bins
from store.database import Database
from store.embedded import EmbeddedPostgres
from store.embedded_bins import find_bins, major_version
from store.errors import EmbeddedError

pytestmark = pytest.mark.database
ROOT = os.geteuid() == 0

OWNER = """
import sys, time
from pathlib import Path
from store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
print(server.start(), server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def home():
    folder = Path(tempfile.mkdtemp(prefix="wk-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(home):
    server = EmbeddedPostgres(home)
    yield server
    server.stop()


@pytest.fixture
def owner(home):
    """Another process that owns the home's server: (its process, the DSN, the server's pid)."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(home)], stdout=subprocess.PIPE, text=True)
    dsn, pid = process.stdout.readline().split()
    yield process, dsn, int(pid)
    process.kill()
    process.wait()
    process.stdout.close()
    until(lambda: ended(int(pid)))


def ask(dsn, *statements):
    async def session():
        connection = await asyncpg.connect(dsn, timeout=60)
        try:
            return [await connection.fetchval(statement) for statement in statements]
        finally:
            await connection.close()

    return asyncio.run(session())


def ended(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(reached, seconds=90.0):
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def one_line(error):
    return "\n" not in str(error.value)


def test_rows_survive_a_stop_and_a_start(server):
    ask(server.start(), "create table t as select 1 as x")
    server.stop()
    assert server.pid is None
    assert ask(server.start(), "select x from t") == [1]


def test_a_commit_that_was_acknowledged_is_on_disk(server):
    settings = ("synchronous_commit", "fsync", "full_page_writes")
    assert ask(server.start(), *(f"show {name}" for name in settings)) == ["on", "on", "on"]


def test_nobody_gets_in_without_the_password(server):
    dsn = server.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(dsn.replace("://watchkeeper:", "://watchkeeper:x"), "select 1")


def test_the_home_is_not_loosened(server, home):
    server.start()
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "pg").stat().st_mode & 0o777 == 0o700
    assert (home / "pg" / "meta.json").stat().st_mode & 0o777 == 0o600
    assert list((home / "pg").glob("password*")) == []


def test_the_server_ends_when_its_owner_is_killed(owner):
    process, _, pid = owner
    process.kill()
    until(lambda: ended(pid))


def test_a_second_process_of_the_home_shares_the_server(owner, server):
    _, dsn, pid = owner
    assert server.start() == dsn
    server.stop()
    assert not ended(pid)


def test_a_killed_server_recovers_its_rows_at_the_next_start(server):
    ask(server.start(), "create table t as select 7 as x")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    assert ask(server.start(), "select x from t") == [7]


async def test_a_server_that_dies_while_it_is_kept_comes_back_with_its_rows(server):
    async with Database(server.start(), size=1).open() as db, trio.open_nursery() as nursery:
        nursery.start_soon(server.keep)
        await db.run(execute, "create table t as select 5 as x")
        killed = server.pid
        os.kill(killed, signal.SIGKILL)
        # orphaned sessions may answer for a moment yet: wait for the new server
        await trio.to_thread.run_sync(until, lambda: server.pid not in (None, killed), 120.0)
        assert await db.retry(value, "select x from t", attempts=30, base=0.5) == 5
        nursery.cancel_scope.cancel()


async def execute(conn, sql):
    await conn.execute(sql)


async def value(conn, sql):
    return await conn.fetchval(sql)


def test_a_postmaster_that_outlived_its_owner_is_ended_first(server, home):
    ask(server.start(), "create table t as select 9 as x")
    left, server._server = server._server, None  # as if its owner were gone and nobody had told it
    server._lock.close()
    server._lock = None
    heir = EmbeddedPostgres(home)
    try:
        assert ask(heir.start(), "select x from t") == [9]
        assert left.wait(60) == 0
    finally:
        heir.stop()


def test_a_stale_pid_file_naming_a_foreign_process_harms_nobody(server, home):
    server.start()
    server.stop()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        lines = [str(stranger.pid), str(home / "pg" / "data"), "1", "5432", str(home / "pg" / "s"), "", "1 1", "ready"]
        (home / "pg" / "data" / "postmaster.pid").write_text("\n".join(lines))
        (home / "pg" / "s" / ".s.PGSQL.5432.lock").write_text("\n".join(lines))
        assert ask(server.start(), "select 1") == [1]
        assert stranger.poll() is None
        stranger.kill()


def test_an_initdb_that_was_cut_off_leaves_no_trace(server, home):
    (home / "pg" / "data.new").mkdir(parents=True)
    (home / "pg" / "data.new" / "half").touch()
    assert ask(server.start(), "select 1") == [1]
    assert not (home / "pg" / "data.new").exists()


@pytest.mark.parametrize("damage", [lambda meta: meta.unlink(), lambda meta: meta.write_text("{}")])
def test_a_data_folder_without_its_meta_file_is_refused_and_kept(server, home, damage):
    server.start()
    server.stop()
    damage(home / "pg" / "meta.json")
    with pytest.raises(EmbeddedError, match=r"meta\.json") as refusal:
        server.start()
    assert one_line(refusal)
    assert (home / "pg" / "data" / "PG_VERSION").exists()


def test_a_home_with_a_long_strange_name_works(home):
    server = EmbeddedPostgres(home / f"홈 & {'n' * 90}")
    try:
        first = server.start()
        assert ask(first, "select 1") == [1]
        server.stop()
        assert server.start() == first
    finally:
        server.stop()
        shutil.rmtree(Path(server._read_meta().socket_folder))


def test_the_data_folder_keeps_to_its_major_version(server, home):
    server.start()
    server.stop()
    (home / "pg" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedError, match="PostgreSQL 9") as refusal:
        server.start()
    assert one_line(refusal)


def test_a_server_that_cannot_start_says_why_in_one_line_and_frees_the_home(server, home):
    server.start()
    server.stop()
    with (home / "pg" / "data" / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedError, match="ended at its start") as refusal:
        server.start()
    assert one_line(refusal)
    assert server._lock is None


@pytest.mark.skipif(not ROOT, reason="accounts matter to root alone")
def test_a_home_nobody_else_can_reach_is_refused_in_one_line_and_left_alone(server, home, monkeypatch):
    monkeypatch.setattr(embedded_bins, "_may_give", lambda capability: False)  # as in a bare container
    with pytest.raises(EmbeddedError, match="WATCHKEEPER_HOME") as refusal:
        server.start()
    assert one_line(refusal)
    assert (home / "pg").stat().st_uid == 0
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not ROOT, reason="accounts matter to root alone")
def test_root_never_runs_the_server_itself(server):
    server.start()
    assert psutil.Process(server.pid).uids().real != 0


@pytest.mark.skipif(not ROOT, reason="accounts matter to root alone")
def test_programs_the_account_cannot_reach_are_copied_into_the_home(home, monkeypatch):
    bins = find_bins()
    if "pginstall" not in str(bins):
        pytest.skip("the wheel is not installed")
    package = bins.parent.parent
    hidden = Path(tempfile.mkdtemp())  # 0700
    shutil.copytree(package, hidden / package.name, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.exists():
        shutil.copytree(libraries, hidden / libraries.name)
    monkeypatch.setenv("WATCHKEEPER_PG_BIN", str(hidden / package.name / bins.parent.name / "bin"))
    home.chmod(0o711)
    server = EmbeddedPostgres(home)
    try:
        assert ask(server.start(), "select 1") == [1]
        assert (home / "pg" / f"bin-{major_version(bins)}").exists()
    finally:
        server.stop()
        shutil.rmtree(hidden)
