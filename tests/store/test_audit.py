"""The audit chain: every way of changing it behind our back is found, at every index."""

from datetime import UTC, datetime

import pytest
import trio

from store import audit
from store.audit import Checkpoint, CheckpointFile
from store.errors import StoreError

pytestmark = pytest.mark.database
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ENTRIES = 6


@pytest.fixture
async def chain(db):
    """A database with a chain of six entries."""
    db.audit_key = b"k" * 32
    for n in range(ENTRIES):
        await add(db, f"e{n}", detail={"n": n, "share": 0.1 * n, "words": "긴급"})
    return db


async def add(db, entry_id, detail=None, **fields):
    async def unit(conn):
        said = {"actor": "ann", "action": "login", "target": "session:1", **fields}
        return await audit.append(conn, **said, detail=detail or {}, at=NOW, entry_id=entry_id)

    return await db.run(unit, tx={})


async def tamper(db, sql, *args):
    async def unit(conn):
        await conn.execute(sql, *args)

    await db.run(unit, tx={})


class Undone(Exception):
    """Rolls a forgery back."""


async def where_found(db, *forgery):
    """Where the chain is said to be broken after these statements; then they are undone."""
    result = None

    async def unit(conn):
        nonlocal result
        for sql in forgery:
            await conn.execute(sql)
        result = await audit.verify(conn)
        raise Undone

    with pytest.raises(Undone):
        await db.run(unit, tx={})
    assert result.ok == (result.broken_at is None)
    return result.broken_at


async def test_an_untouched_chain_verifies(chain):
    result = await chain.run(audit.verify)
    assert (result.ok, result.entries, result.head.seq) == (True, ENTRIES, ENTRIES)
    assert (await chain.run(audit.verify, Checkpoint(seq=3, hash=b"x", at=NOW))).broken_at == 3


async def test_the_same_entry_again_is_one_entry(chain):
    again = await add(chain, "e2", detail={"other": 1})
    assert (again.seq, again.detail["n"]) == (3, 2)
    assert (await chain.run(audit.head)).seq == ENTRIES


async def test_writers_at_once_make_one_chain(chain):
    async with trio.open_nursery() as nursery:
        for n in range(20):
            nursery.start_soon(add, chain, f"more{n}")
    result = await chain.run(audit.verify)
    assert (result.ok, result.entries) == (True, ENTRIES + 20)


async def test_an_entry_stands_and_falls_with_its_transaction(chain):
    async def fails(conn):
        await audit.append(conn, actor="a", action="b", target="c", detail={})
        raise LookupError

    with pytest.raises(LookupError):
        await chain.run(fails, tx={})
    assert (await chain.run(audit.verify)).entries == ENTRIES


async def test_text_the_database_would_refuse_is_kept_readable(chain):
    entry = await add(chain, "odd", actor="a\0b", target="x\ud800", detail={"name": "c\0d"})
    assert (entry.actor, entry.detail["name"]) == ("a\N{REPLACEMENT CHARACTER}b", "c\N{REPLACEMENT CHARACTER}d")
    assert (await chain.run(audit.verify)).ok


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'bob'",
        "action = 'logout'",
        "target = 'session:2'",
        "at = at + interval '1 microsecond'",
        "detail = '{}'",
        "detail = (detail::text || ' ')::json",
        "id = 'x'",
        "hash = set_byte(hash, 0, get_byte(hash, 0) # 1)",
        "prev_hash = set_byte(prev_hash, 31, get_byte(prev_hash, 31) # 1)",
    ],
)
async def test_an_altered_entry_is_found_where_it_is(chain, change):
    for seq in range(1, ENTRIES + 1):
        assert await where_found(chain, f"update audit set {change} where seq = {seq}") == seq


async def test_a_deleted_entry_is_found_even_when_the_gap_is_closed(chain):
    for seq in range(1, ENTRIES):
        delete = f"delete from audit where seq = {seq}"
        assert await where_found(chain, delete) == seq
        close = ("update audit set seq = -seq", f"update audit set seq = -seq - 1 where -seq > {seq}")
        rest = "update audit set seq = -seq where seq < 0"
        assert await where_found(chain, delete, *close, rest) == seq


async def test_two_entries_that_changed_places_are_found(chain):
    for seq in range(1, ENTRIES):
        aside = f"update audit set seq = -seq where seq in ({seq}, {seq + 1})"
        swapped = f"update audit set seq = {2 * seq + 1} + seq where seq < 0"
        assert await where_found(chain, aside, swapped) == seq


async def test_an_entry_put_in_between_is_found(chain):
    for seq in range(1, ENTRIES + 2):
        room = (f"update audit set seq = -seq where seq >= {seq}", "update audit set seq = 1 - seq where seq < 0")
        forged = "prev_hash, hash, at, actor, action, target, detail from audit limit 1"
        assert await where_found(chain, *room, f"insert into audit select {seq}, 'forged', {forged}") == seq


@pytest.mark.parametrize("left", range(ENTRIES))
async def test_a_log_cut_off_is_found_by_its_checkpoint(chain, left, tmp_path):
    file = CheckpointFile(tmp_path / "audit.checkpoint", b"s" * 32)
    head = await chain.run(audit.head)
    file.save(Checkpoint(seq=head.seq, hash=head.hash, at=NOW))
    assert (await chain.run(audit.verify, file.load())).ok
    await tamper(chain, "delete from audit where seq > $1", left)
    assert (await chain.run(audit.verify)).ok
    assert (await chain.run(audit.verify, file.load())).broken_at == left + 1
    for n in range(left, ENTRIES):  # and written anew by one who has the key
        await add(chain, f"new{n}")
    assert not (await chain.run(audit.verify, file.load())).ok


async def test_a_chain_verifies_with_no_other_key(chain):
    chain.audit_key = b"l" * 32
    assert (await chain.run(audit.verify)).broken_at == 1


async def test_without_a_key_nothing_can_be_audited(db):
    with pytest.raises(StoreError, match="audit key"):
        await add(db, "x")


async def test_entries_go_by_pages_newest_last(chain):
    first = await chain.run(audit.page, 0, 4)
    second = await chain.run(audit.page, first.next, 4)
    assert [entry.seq for entry in first.items + second.items] == [1, 2, 3, 4, 5, 6]
    assert second.next is None
    assert [entry.seq for entry in (await chain.run(audit.page, None, 2)).items] == [5, 6]


@pytest.mark.parametrize("damage", [b"", b"x\ny\n", b'[9, "00", "2026-03-02T09:00:00+00:00"]\n' + b"00" * 64 + b"\n"])
def test_a_checkpoint_someone_else_wrote_is_refused(tmp_path, damage):
    file = CheckpointFile(tmp_path / "c", b"s" * 32)
    assert file.load() is None
    file.save(Checkpoint(seq=1, hash=b"h", at=NOW))
    assert file.load() == Checkpoint(seq=1, hash=b"h", at=NOW)
    assert file.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreError):
        CheckpointFile(file.path, b"t" * 32).load()
    file.path.write_bytes(damage)
    with pytest.raises(StoreError):
        file.load()
