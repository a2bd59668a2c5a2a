"""For every test: one embedded PostgreSQL in a session, a freshly migrated database, a home folder of its own."""

import asyncio
import itertools
import shutil
import tempfile
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as examples

from actors.config import load_settings
from store.embedded import EmbeddedPostgres
from store.migrate import SQL, migrate
from tests.databases import patient

PATIENT = "patient"
TEMPLATE = "watchkeeper_template"
_numbers = itertools.count(1)


def pytest_configure(config):
    """Properties are no judges of this machine's speed. What gates a change looks at the same examples each time;
    without ``-m "not deep"`` every run looks at others."""
    gates = "not deep" in config.option.markexpr
    examples.register_profile(PATIENT, deadline=None, derandomize=gates, suppress_health_check=[HealthCheck.too_slow])
    examples.load_profile(PATIENT)


def _administer(dsn, *statements):
    async def session():
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(session())


def _of(dsn, database):
    return dsn.replace("@/postgres?", f"@/{database}?")


@pytest.fixture(scope="session")
def postgres_dsn():
    """The DSN of a server of this session (its database ``postgres`` is empty). Started on the main thread."""
    home = Path(tempfile.mkdtemp(prefix="wk-"))
    server = EmbeddedPostgres(home)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def template_database(postgres_dsn):
    _administer(postgres_dsn, f"create database {TEMPLATE}")
    asyncio.run(migrate(_of(postgres_dsn, TEMPLATE), SQL))
    return TEMPLATE


@pytest.fixture
def empty_dsn(postgres_dsn):
    """The DSN of an empty database of this test alone."""
    name = f"test_{next(_numbers)}"
    _administer(postgres_dsn, f"create database {name}")
    yield _of(postgres_dsn, name)
    _administer(postgres_dsn, f"drop database {name} with (force)")


@pytest.fixture
def database_dsn(postgres_dsn, template_database):
    """The DSN of a freshly migrated database of this test alone."""
    name = f"test_{next(_numbers)}"
    _administer(postgres_dsn, f"create database {name} template {template_database}")
    yield _of(postgres_dsn, name)
    _administer(postgres_dsn, f"drop database {name} with (force)")


@pytest.fixture
async def db(database_dsn):
    async with patient(database_dsn, size=4).open() as database:
        yield database


@pytest.fixture
def home():
    """A home folder that is not there yet, on a short path: it holds sockets."""
    folder = Path(tempfile.mkdtemp(prefix="wk-home-"))
    folder.chmod(0o755)
    yield folder / "home"
    shutil.rmtree(folder)


@pytest.fixture
def settings(home, database_dsn):
    """Of a platform with a database of its own, on free ports."""
    environment = {
        "WATCHKEEPER_HOME": str(home),
        "WATCHKEEPER_DATABASE_URL": database_dsn,
        "WATCHKEEPER_HTTP": "127.0.0.1:0",
        "WATCHKEEPER_ENGINES": "127.0.0.1:0",
        "WATCHKEEPER_EMERGENCY": "127.0.0.1:0",
        "WATCHKEEPER_ADMIN_PASSWORD": "a-long-password",
    }
    return load_settings({}, environment)
