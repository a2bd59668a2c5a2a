"""A platform that could not hear its database comes back to one that another platform has taken: it ends, with 3."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest
import trio

from store import users
from store.tenure import Tenure
from tests.databases import patient
from tests.ports import free_port

pytestmark = pytest.mark.database

PATIENCE = 180


@pytest.fixture
def platform(database_dsn):
    """The command ``up`` on a database of its own; ``ready`` waits until it is in office."""
    folder = Path(tempfile.mkdtemp(prefix="wk-usurper-"))
    folder.chmod(0o755)
    port = free_port()
    environment = {
        **os.environ,
        "WATCHKEEPER_HOME": str(folder / "home"),
        "WATCHKEEPER_DATABASE_URL": database_dsn,
        "WATCHKEEPER_HTTP": f"127.0.0.1:{port}",
        "WATCHKEEPER_ENGINES": "127.0.0.1:0",
        "WATCHKEEPER_EMERGENCY": "off",
        "WATCHKEEPER_ADMIN_PASSWORD": "a-long-password",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "actors", "up"], env=environment, stderr=log, stdout=log)
    process.log, process.url = folder / "log", f"http://127.0.0.1:{port}"
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(60)
        shutil.rmtree(folder)


async def ready(platform):
    def asked():
        try:
            with urllib.request.urlopen(f"{platform.url}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            assert platform.poll() is None, platform.log.read_text()
            return False

    with trio.fail_after(PATIENCE):
        while not await trio.to_thread.run_sync(asked):  # noqa: ASYNC110  # another process: nothing to wait on
            await trio.sleep(0.2)


async def others_cut_off(conn):
    await conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where pid <> pg_backend_pid() and datname = current_database()"
    )


async def test_a_platform_that_was_away_ends_with_3_once_another_one_has_its_database(platform, database_dsn):
    await ready(platform)
    async with patient(database_dsn, size=2).open() as other:
        # A short break of the connections alone changes nothing: the same platform is in office again.
        await other.run(others_cut_off)
        await trio.sleep(2.5)
        await ready(platform)

        platform.send_signal(signal.SIGSTOP)
        await other.run(others_cut_off)
        usurper = await Tenure.begin(other, patience=60)
        before = await other.run(users.count)
        platform.send_signal(signal.SIGCONT)
        with trio.fail_after(PATIENCE):
            code = await trio.to_thread.run_sync(platform.wait)
        assert code == 3, platform.log.read_text()
        assert "another platform has started on this database" in platform.log.read_text().splitlines()[-1]
        assert await other.run(users.count) == before
        usurper.end()
