"""Migrations: each file once, whole or not at all, and nothing when program and schema do not fit."""

import asyncio

import asyncpg
import pytest

from store.errors import MigrationError
from store.migrate import SQL, load, migrate

FIRST = "create table a (x int);"
SECOND = "create table b (x int);"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "0001_first.sql").write_text(FIRST)
    (tmp_path / "0002_second.sql").write_text(SECOND)
    return tmp_path


def ask(dsn, statement):
    async def session():
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(session())


def test_the_program_s_own_files_are_numbered_without_a_gap():
    assert [m.version for m in load(SQL)] == list(range(1, len(load(SQL)) + 1))


@pytest.mark.parametrize("name", ["1_x.sql", "0003_UPPER.sql", "0004_gap.sql", "0002_twice.sql"])
def test_a_file_that_does_not_fit_the_row_is_refused(folder, name):
    (folder / name).write_text("select 1")
    with pytest.raises(MigrationError):
        load(folder)


@pytest.mark.database
def test_every_file_is_applied_once(empty_dsn, folder):
    assert asyncio.run(migrate(empty_dsn, folder)) == [1, 2]
    assert asyncio.run(migrate(empty_dsn, folder)) == []


@pytest.mark.database
def test_of_five_at_once_exactly_one_applies(empty_dsn, folder):
    (folder / "0003_third.sql").write_text(
        "-- no transaction\ncreate index concurrently on a (x);\n-- split\nselect 1;"
    )

    async def five():
        return await asyncio.gather(*(migrate(empty_dsn, folder) for _ in range(5)))

    assert sorted(asyncio.run(five())) == [[], [], [], [], [1, 2, 3]]


@pytest.mark.database
def test_a_failing_file_is_rolled_back_whole_and_names_its_line(empty_dsn, folder):
    (folder / "0003_third.sql").write_text("create table c (x int);\nselect * from nowhere;")
    with pytest.raises(MigrationError, match=r"0003_third: .*nowhere.*line 2"):
        asyncio.run(migrate(empty_dsn, folder))
    assert ask(empty_dsn, "select max(version) from schema_version") == 2
    assert ask(empty_dsn, "select to_regclass('c')") is None


@pytest.mark.database
def test_an_edited_file_is_refused(empty_dsn, folder):
    asyncio.run(migrate(empty_dsn, folder))
    (folder / "0001_first.sql").write_text(FIRST + " ")
    with pytest.raises(MigrationError, match="0001_first"):
        asyncio.run(migrate(empty_dsn, folder))


@pytest.mark.database
def test_a_newer_database_is_refused(empty_dsn, folder):
    asyncio.run(migrate(empty_dsn, folder))
    (folder / "0002_second.sql").unlink()
    with pytest.raises(MigrationError, match="newer"):
        asyncio.run(migrate(empty_dsn, folder))


@pytest.mark.database
def test_line_ends_of_another_system_are_no_edit(empty_dsn, folder):
    (folder / "0003_lines.sql").write_bytes(b"select 1;\nselect 2;\n")
    asyncio.run(migrate(empty_dsn, folder))
    (folder / "0003_lines.sql").write_bytes(b"select 1;\r\nselect 2;\r\n")
    assert asyncio.run(migrate(empty_dsn, folder)) == []
