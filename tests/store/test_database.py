"""Units of work against a real PostgreSQL: cancelled, refused, cut off and frozen, without losing a connection."""

import os
import random
import signal

import asyncpg
import psutil
import pytest
import trio

from store.database import Contended, Database, Down, Notified, Up
from store.embedded import EmbeddedPostgres
from store.errors import BadValue, Conflict, Refused, StoreError, Unavailable
from tests.databases import patient

pytestmark = pytest.mark.database
CANARY = "canary-4711"


async def value(conn, sql, *args):
    return await conn.fetchval(sql, *args)


async def execute(conn, sql, *args):
    await conn.execute(sql, *args)


async def slowly(conn, mark, seconds=5.0):
    await conn.execute("insert into marks values ($1)", mark)
    await conn.execute("select pg_sleep($1)", seconds)
    await conn.execute("insert into marks values ($1)", mark + 1)


@pytest.fixture
async def empty(empty_dsn):
    async with patient(empty_dsn, size=3).open() as database:
        await database.run(execute, "create table marks (x bigint primary key)")
        yield database


async def test_a_unit_of_work_gets_its_answer(empty):
    assert await empty.run(value, "select $1::int + 1", 41) == 42


async def test_a_unit_that_raises_is_rolled_back_and_its_error_arrives_as_it_was(empty):
    async def fails(conn):
        await conn.execute("insert into marks values (1)")
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await empty.run(fails, tx={})
    assert await empty.run(value, "select count(*) from marks") == 0
    assert empty.statistics().busy == 0


async def test_an_expired_scope_leaves_no_connection_and_no_transaction_behind(empty):
    for mark in range(6):
        with trio.move_on_after(0.05):
            await empty.run(slowly, mark * 10, tx={})
    assert empty.statistics().busy == 0
    assert await empty.run(value, "select count(*) from marks") == 0
    stuck = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'"
    assert await empty.run(value, stuck) == 0


async def test_a_storm_of_random_cancels_never_commits_half_a_unit(empty):
    dice = random.Random(7)

    async def attempt(mark):
        with trio.move_on_after(dice.uniform(0, 0.02)):
            await empty.run(slowly, mark * 10, 0.0, tx={})

    async with trio.open_nursery() as nursery:
        for mark in range(150):
            nursery.start_soon(attempt, mark)
            await trio.sleep(0.002)
    halves = "select count(*) from (select x / 10 from marks group by 1 having count(*) <> 2) h"
    assert await empty.run(value, halves) == 0
    assert empty.statistics().busy == 0
    assert empty.statistics().abandoned == 0


async def test_a_pool_that_is_all_busy_says_unavailable(empty_dsn):
    busy = trio.Event()

    async def hogs(conn):
        busy.set()
        await conn.execute("select pg_sleep(30)")

    async with Database(empty_dsn, size=1, acquire_timeout=0.5).open() as db, trio.open_nursery() as nursery:
        await db.retry(value, "select 1", attempts=30)  # the only connection is there
        nursery.start_soon(db.run, hogs)
        await busy.wait()
        with pytest.raises(Unavailable):
            await db.run(value, "select 1")
        nursery.cancel_scope.cancel()


async def test_a_statement_that_takes_too_long_says_unavailable(empty_dsn):
    async with Database(empty_dsn, command_timeout=2.0).open() as db:
        with pytest.raises(Unavailable, match="QueryCanceled"):
            await db.run(execute, "select pg_sleep(30)")
        assert await db.run(value, "select 1") == 1


async def test_a_server_that_is_away_is_reported_since_when(tmp_path):
    async with Database(f"postgresql://someone:{CANARY}@/postgres?host={tmp_path}").open() as db:
        assert db.down_since is None
        with pytest.raises(Unavailable) as error:
            await db.run(value, "select 1")
        assert CANARY not in str(error.value)
        since = db.down_since
        assert since is not None
        with pytest.raises(Unavailable):
            await db.run(value, "select 1")
        assert db.down_since == since
        assert CANARY not in repr(db)


async def test_a_database_that_is_not_open_says_unavailable(empty_dsn):
    with pytest.raises(Unavailable, match="not open"):
        await Database(empty_dsn).run(value, "select 1")


@pytest.mark.parametrize(
    "sql, argument, refusal",
    [
        ("select $1::int", CANARY, BadValue),  # asyncpg's own check quotes the argument
        ("select $1::text", f"{CANARY}\0", BadValue),
        ("select $1::text", f"{CANARY}\ud800", BadValue),
        ("select $1::int", 2**40, BadValue),
        ("select $1::text::int", CANARY, BadValue),
        ("insert into named values ($1)", CANARY, Conflict),
        ("insert into named values ($1)", CANARY * 20, BadValue),
        (f"selec '{CANARY}' || $1::text", "x", Refused),
    ],
)
async def test_a_refusal_repeats_no_value_and_carries_no_driver_error(empty, sql, argument, refusal):
    await empty.run(execute, "create table named (name text primary key check (length(name) < 50))")
    await empty.run(execute, "insert into named values ($1)", CANARY)
    with pytest.raises(StoreError) as error:
        await empty.run(value, sql, argument)
    assert type(error.value) is refusal
    assert CANARY not in str(error.value)
    assert error.value.__context__ is None
    assert error.value.__cause__ is None


async def test_a_conflict_names_the_rule(empty):
    await empty.run(execute, "insert into marks values (1)")
    with pytest.raises(Conflict) as error:
        await empty.run(execute, "insert into marks values (1)", tx={})
    assert error.value.constraint == "marks_pkey"


async def test_a_session_killed_in_a_transaction_says_unavailable_and_the_pool_recovers(empty):
    async def kills_itself(conn):
        await conn.execute("insert into marks values (1)")
        await conn.execute("select pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Unavailable):
        await empty.run(kills_itself, tx={})
    assert await empty.retry(value, "select count(*) from marks", attempts=30) == 0
    assert empty.down_since is None


async def test_two_transactions_that_meet_are_contended_and_the_retry_wins(empty):
    await empty.run(execute, "insert into marks values (1)")
    meetings = 0

    async def reads_then_writes(conn):
        nonlocal meetings
        meetings += 1
        seen = await conn.fetchval("select count(*) from marks")
        if meetings == 1:
            other = await asyncpg.connect(empty._dsn)
            async with other.transaction(isolation="serializable"):
                await other.execute("insert into marks values ((select count(*) + 10 from marks))")
            await other.close()
        await conn.execute("insert into marks values ($1)", seen + 10)

    with pytest.raises(Contended):
        await empty.run(reads_then_writes, tx={"isolation": "serializable"})
    meetings = 0
    await empty.run(execute, "delete from marks where x > 1")
    await empty.retry(reads_then_writes, tx={"isolation": "serializable"})
    assert meetings == 2


async def test_a_hung_server_does_not_hold_a_cancelled_caller(tmp_path_factory):
    server = EmbeddedPostgres(tmp_path_factory.mktemp("hung"))
    try:
        async with Database(server.start(), size=2, command_timeout=2.0).open() as db:
            assert await db.run(value, "select 1") == 1
            processes = psutil.Process(server.pid).children(recursive=True)
            for process in processes:
                process.send_signal(signal.SIGSTOP)
            try:
                with trio.move_on_after(0.1) as scope:
                    await db.run(value, "select 1")
                assert scope.cancelled_caught
                assert db.statistics().abandoned == 1
            finally:
                for process in processes:
                    process.send_signal(signal.SIGCONT)
            assert await db.retry(value, "select 2", attempts=30) == 2
            await db.assert_durable()
    finally:
        server.stop()


async def test_a_killed_server_is_found_again_after_its_restart(tmp_path_factory):
    server = EmbeddedPostgres(tmp_path_factory.mktemp("killed"))
    try:
        async with Database(server.start(), size=2).open() as db:
            assert await db.run(value, "select 1") == 1
            os.kill(server.pid, signal.SIGKILL)
            server.stop()
            with pytest.raises(Unavailable):
                await db.run(value, "select 1")
            assert db.down_since is not None
            server.start()
            assert await db.retry(value, "select 1", attempts=30) == 1
            assert db.down_since is None
    finally:
        server.stop()


async def test_an_error_of_the_body_leaves_unwrapped(empty_dsn):
    with pytest.raises(LookupError):
        async with Database(empty_dsn).open():
            raise LookupError


async def test_a_stray_asyncio_error_does_not_end_the_program(empty):
    async def leaves_a_failing_task(conn):
        conn.get_settings()
        import asyncio

        asyncio.get_running_loop().call_soon(lambda: 1 / 0)

    await empty.run(leaves_a_failing_task)
    assert await empty.run(value, "select 1") == 1
    assert empty.statistics().stray == 1


async def test_listening_hears_and_comes_back_when_its_session_is_killed(empty):
    send, receive = trio.open_memory_channel(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(empty.listen, ["news"], send)
        assert await receive.receive() == Up()
        await empty.run(execute, "select pg_notify('news', 'one')")
        assert await receive.receive() == Notified(channel="news", payload="one")
        kill = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'watchkeeper-listen'"
        await empty.run(execute, kill)
        assert await receive.receive() == Down()
        assert await receive.receive() == Up()
        await empty.run(execute, "select pg_notify('news', 'two')")
        assert await receive.receive() == Notified(channel="news", payload="two")
        nursery.cancel_scope.cancel()


async def test_a_transaction_that_a_unit_left_open_is_rolled_back(empty):
    """No statement of ours resets the connections of the pool: the driver sees to this by itself."""

    async def leaves_it_open(conn, begin):
        await begin(conn)
        await conn.execute("insert into marks values (1)")

    for begin in (lambda conn: conn.transaction().start(), lambda conn: conn.execute("begin")):
        await empty.run(leaves_it_open, begin)
        assert await empty.run(value, "select count(*) from marks") == 0
        stuck = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'"
        assert await empty.run(value, stuck) == 0
