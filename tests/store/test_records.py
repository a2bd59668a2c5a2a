"""Engines, their links, what they tell, and the alerts and letters that come of it."""

import itertools
from datetime import UTC, date, datetime, timedelta

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from actors.platform.log_writer import DatabaseLedger
from store import alerts, engines, idempotency, incidents, letters, links, logs, snapshots
from store.errors import Conflict
from store.idempotency import Fresh, InProgress, OtherBody, Replay, Slot
from store.letters import DeadLetter, LetterState
from store.links import Progress
from store.logs import LogQuery, Received
from wire.errors import InvalidField
from wire.messages import Account, ErrorReport, Fill, OrderUpdate, TradeLog
from wire.quarantine import quarantined
from wire.rest.records import Alert, AlertState
from wire.values import ErrorCategory, LogCategory, OrderStatus, Severity, Side

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
database = pytest.mark.database


def a_log(log_id, text="bought", engine_id="E1", category=LogCategory.SYSTEM, **fields):
    message = TradeLog(id=log_id, category=category, message=text, timestamp=NOW, **fields)
    return Received(engine_id=engine_id, id=log_id, at=NOW, message=message)


def an_order(update_id, quantity=10, **fields):
    message = OrderUpdate(
        order_id="O1",
        broker_order_id="B1",
        strategy_id="S1",
        symbol="005930",
        side=Side.BUY,
        quantity=quantity,
        price=71800,
        status=OrderStatus.ACCEPTED,
        **fields,
    )
    return Received(engine_id="E1", id=update_id, at=NOW, message=message)


def a_fill(fill_id):
    message = Fill(
        id=fill_id,
        order_id="O1",
        strategy_id="S1",
        symbol="005930",
        side=Side.SELL,
        quantity=3,
        price=71800,
        fee=12,
        tax=430,
        at=NOW,
    )
    return Received(engine_id="E1", id=fill_id, at=NOW, message=message)


def an_error(error_id):
    message = ErrorReport(
        code="error_broker_down", category=ErrorCategory.BROKER, reason="x", severity=Severity.ERROR, degraded=True
    )
    return Received(engine_id="E1", id=error_id, at=NOW, message=message)


@pytest.fixture
async def engine(db):
    return await db.run(engines.enrol, "E1", "first", "kis-1", b"h" * 32, None)


async def keep(db, *received, progress=()):
    return await db.run(logs.commit, received, progress, NOW, tx={})


# --- engines --------------------------------------------------------------------------------------------------------


@database
@pytest.mark.parametrize(
    "again, rule",
    [
        (("E2", "second", "kis-1"), "one_engine_per_account"),
        (("E2", "first", "kis-2"), "engines_name"),
        (("E1", "second", "kis-2"), "engines_pkey"),
    ],
)
async def test_an_account_a_name_and_an_id_belong_to_one_engine(db, engine, again, rule):
    with pytest.raises(Conflict) as error:
        await db.run(engines.enrol, *again, b"h", None)
    assert error.value.constraint == rule


@database
async def test_a_deregistered_engine_frees_its_account_but_not_its_id(db, engine):
    assert await db.run(engines.deregister, "E1", NOW)
    assert not await db.run(engines.deregister, "E1", NOW)
    assert await db.run(engines.get, "E1") is None
    await db.run(engines.enrol, "E2", "first", "kis-1", b"h", None)
    assert [row.engine_id for row in await db.run(engines.registered)] == ["E2"]


@database
async def test_a_rotated_secret_replaces_the_old_one_and_keeps_the_public_key(db, engine):
    await db.run(engines.rotate, "E1", b"n" * 32, "key", NOW)
    await db.run(engines.rotate, "E1", b"m" * 32, None, NOW)
    await db.run(engines.seen, [("E1", "1.2", "paper")], NOW)
    row = await db.run(engines.get, "E1")
    assert (row.secret_hash, row.public_key, row.version) == (b"m" * 32, "key", "1.2")
    assert "mmm" not in repr(row)


def test_a_secret_s_hash_belongs_to_one_engine_and_one_key():
    hashes = {engines.secret_hash(key, e, "s") for key in (b"k" * 32, b"l" * 32) for e in ("E1", "E2")}
    assert len(hashes) == 4


# --- links ----------------------------------------------------------------------------------------------------------


@database
async def test_every_new_session_has_the_next_epoch_and_begins_at_zero(db, engine):
    first = await db.run(links.begin, "E1", "a", "i", NOW)
    await keep(db, progress=[Progress(engine_id="E1", session="a", last_recv=7, next_seq=9)])
    assert (await db.run(links.get, "E1")).last_recv == 7
    second = await db.run(links.begin, "E1", "b", "i", NOW)
    assert (first.epoch, second.epoch, second.last_recv, second.next_seq) == (1, 2, 0, 1)


@database
async def test_progress_only_rises_and_an_old_session_moves_nothing(db, engine):
    await db.run(links.begin, "E1", "a", "i", NOW)
    await db.run(links.begin, "E1", "b", "i", NOW)
    for session, number in (("b", 5), ("b", 3), ("a", 9)):
        done = await keep(db, progress=[Progress(engine_id="E1", session=session, last_recv=number)])
        assert done.moved == ({"E1"} if session == "b" else set())
    assert [row.last_recv for row in await db.run(links.everyone)] == [5]


# --- logs -----------------------------------------------------------------------------------------------------------


@database
async def test_what_was_told_twice_is_kept_once(db):
    first = await keep(db, a_log("1"), a_log("2"), a_log("1"))
    again = await keep(db, a_log("2"), a_log("3"), a_log("3", engine_id="E2"))
    assert [one.id for one in first.new] == ["1", "2"]
    assert [(one.engine_id, one.id) for one in again.new] == [("E1", "3"), ("E2", "3")]
    assert [row.id for row in (await db.run(logs.trade_logs, LogQuery())).items] == ["1", "2", "3", "3"]


@database
async def test_every_kind_comes_back_as_it_went_in(db):
    trade = a_log("t", category=LogCategory.TRADE, reason="signal", symbol="005930", severity=Severity.INFO)
    done = await keep(db, trade, an_order("o", filled=4), a_fill("f"), an_error("e"))
    assert len(done.new) == 4
    [log] = (await db.run(logs.trade_logs, LogQuery())).items
    [order] = (await db.run(logs.orders, LogQuery())).items
    [fill] = (await db.run(logs.fills, LogQuery())).items
    assert (log.category, log.reason, log.timestamp, log.severity) == (LogCategory.TRADE, "signal", NOW, "info")
    assert (order.status, order.filled, order.side) == ("accepted", 4, Side.BUY)
    assert (fill.price, fill.fee, fill.tax, fill.side) == (71800, 12, 430, Side.SELL)


@database
async def test_one_row_that_cannot_be_stored_does_not_block_the_others(db, engine):
    await db.run(links.begin, "E1", "a", "i", NOW)
    poison = [a_log("nul", "a\0b"), a_log("half", "a\ud800")]
    done = await keep(
        db, a_log("1"), *poison, a_log("2"), a_fill("f"), progress=[Progress(engine_id="E1", session="a", last_recv=5)]
    )
    assert {one.id for one in done.new} == {"1", "2", "f"}
    assert {one.received.id for one in done.rejected} == {"nul", "half"}
    assert not any("a\0b" in one.reason for one in done.rejected)
    assert (await db.run(links.get, "E1")).last_recv == 5


@database
async def test_together_all_are_kept_or_none(db, engine):
    await db.run(links.begin, "E1", "a", "i", NOW)
    step = [Progress(engine_id="E1", session="a", last_recv=5)]

    async def together(*received):
        return await db.run(logs.commit_together, received, step, NOW, tx={})

    for poison in (a_log("nul", "a\0b"), a_log("half", "a\ud800"), an_order("big", quantity=10**12, filled=10**12)):
        poison = attrs.evolve(poison, engine_id="E1\0") if poison.id == "big" else poison
        with pytest.raises(logs.NotAllStorable):
            await together(a_log("1"), an_error("e"), poison)
        assert (await db.run(logs.trade_logs, LogQuery())).items == []
        assert (await db.run(links.get, "E1")).last_recv == 0
    done = await together(a_log("1"), an_order("o"), a_log("2"), a_log("1"), a_fill("f"), an_error("e"))
    assert ([one.id for one in done.new], done.rejected, done.moved) == (["1", "2", "o", "f", "e"], [], {"E1"})
    again = await together(a_log("2"), a_log("3"), an_order("o"), a_fill("f"), an_error("e2"))
    assert [one.id for one in again.new] == ["3", "e2"]
    assert (await together(a_log("3"))).new == []
    assert [row.id for row in (await db.run(logs.trade_logs, LogQuery())).items] == ["1", "2", "3"]


@database
async def test_the_ledger_keeps_what_can_be_kept_of_a_batch_with_poison_in_it(db, engine):
    done = await DatabaseLedger(db).commit([a_log("1"), a_log("nul", "a\0b"), a_log("2")], [], NOW)
    assert ([one.id for one in done.new], [one.received.id for one in done.rejected]) == (["1", "2"], ["nul"])


@database
async def test_a_batch_that_fails_later_leaves_neither_rows_nor_progress(db, engine):
    await db.run(links.begin, "E1", "a", "i", NOW)

    async def fails(conn):
        await logs.commit(conn, [a_log("1")], [Progress(engine_id="E1", session="a", last_recv=1)], NOW)
        raise LookupError

    with pytest.raises(LookupError):
        await db.run(fails, tx={})
    assert (await db.run(logs.trade_logs, LogQuery())).items == []
    assert (await db.run(links.get, "E1")).last_recv == 0


@database
async def test_pages_follow_each_other_without_a_gap(db):
    await keep(db, *(a_log(str(n)) for n in range(25)))
    seen, after = [], 0
    while after is not None:
        page = await db.run(logs.trade_logs, LogQuery(after=after, limit=10))
        seen += [row.id for row in page.items]
        after = page.next
    assert seen == [str(n) for n in range(25)]
    newest = await db.run(logs.trade_logs, LogQuery(limit=3))
    assert ([row.id for row in newest.items], newest.next) == (["22", "23", "24"], None)


@database
async def test_a_page_shows_what_was_asked_for(db):
    trade = a_log("t", "SOLD 50%_off", category=LogCategory.TRADE, reason="Stop Loss")
    await keep(db, trade, a_log("s", "started"), a_log("x", "started", engine_id="E2"))

    async def ids(**query):
        return [row.id for row in (await db.run(logs.trade_logs, LogQuery(**query))).items]

    assert await ids(engine_id="E2") == ["x"]
    assert await ids(category=LogCategory.TRADE) == ["t"]
    assert await ids(text="stop loss") == ["t"]
    assert await ids(text="50%_") == ["t"]
    assert await ids(text="5_%") == []


@database
async def test_the_lines_around_a_moment_are_those_nearest_to_it(db):
    await keep(db, *(a_log(str(n)) for n in range(6)))
    received = [row["received_at"] for row in await db.run(_when)]
    at, day = received[0], timedelta(days=1)
    after = await db.run(logs.first_after, ["E1", "E2"], at, at + day, 4)
    assert [row.id for row in after] == ["0", "1", "2", "3"]
    assert await db.run(logs.last_before, ["E1"], at - day, at, 4) == []
    before = await db.run(logs.last_before, ["E1"], at, at + day, 2)
    assert [row.id for row in before] == ["4", "5"]
    assert await db.run(logs.first_after, ["E2"], at, at + day, 4) == []


async def _when(conn):
    return await conn.fetch("select received_at from trade_logs order by cursor")


@database
async def test_a_complete_report_is_never_replaced_by_one_that_is_not_or_is_older(db):
    await db.run(_a_stop)
    later = NOW + timedelta(seconds=1)
    for made_at, complete, text in ((NOW, False, "1"), (later, True, "2"), (later, False, "3"), (NOW, True, "4")):
        await db.run(incidents.save, "s1", made_at, complete, text)
    assert await db.run(incidents.get, "s1") == "2"
    assert await db.run(incidents.get, "s2") is None


async def _a_stop(conn):
    await conn.execute(
        "insert into stops (stop_id, request_id, scope, level, stop_epoch, term, user_id, reason, cause, requested_at)"
        " values ('s1', 'r1', 'all', 'HALT', 1, 1, 'u', '', 'operator', now())"
    )


@database
async def test_writers_at_once_give_cursors_in_the_order_of_their_commits(db):
    async with trio.open_nursery() as nursery:
        for batch in range(8):
            nursery.start_soon(keep, db, *(a_log(f"{batch}-{n}") for n in range(20)))
    page = await db.run(logs.trade_logs, LogQuery(after=0, limit=1000))
    batches = [row.id.split("-")[0] for row in page.items]
    assert len(batches) == 160
    assert sum(a != b for a, b in itertools.pairwise(batches)) == 7


@database
async def test_the_last_word_about_an_account_is_kept_by_day(db):
    def account(equity, day, minute):
        as_of = NOW + timedelta(minutes=minute)
        return Account(equity=equity, cash=1, realized_pnl=-5, trading_day=date(2026, 3, day), as_of=as_of)

    for report in (account(10, 2, 0), account(12, 2, 5), account(11, 2, 3), account(20, 3, 9)):
        await db.run(snapshots.save, "E1", report)
    assert [a.equity for a in await db.run(snapshots.history, "E1", 10)] == [12, 20]
    assert (await db.run(snapshots.latest))["E1"].equity == 20


# --- idempotency ----------------------------------------------------------------------------------------------------

SLOT = Slot(user_id="ann", route="POST /api/engines", key="k")


@database
async def test_the_same_request_again_gets_the_same_answer(db):
    assert await db.run(idempotency.claim, SLOT, b"body", NOW, tx={}) == Fresh()
    assert await db.run(idempotency.claim, SLOT, b"body", NOW, tx={}) == InProgress()
    await db.run(idempotency.complete, SLOT, 201, "done")
    assert await db.run(idempotency.claim, SLOT, b"body", NOW, tx={}) == Replay(status=201, answer="done")
    assert await db.run(idempotency.claim, SLOT, b"other", NOW, tx={}) == OtherBody()


@database
@pytest.mark.parametrize("other", [{"user_id": "bob"}, {"route": "POST /x"}, {"key": "l"}])
async def test_keys_are_per_user_and_route(db, other):
    await db.run(idempotency.claim, SLOT, b"body", NOW, tx={})
    assert await db.run(idempotency.claim, attrs.evolve(SLOT, **other), b"x", NOW, tx={}) == Fresh()


@database
async def test_a_key_is_free_again_after_a_day_a_failure_or_a_crash(db):
    await db.run(idempotency.claim, SLOT, b"body", NOW, tx={})
    await db.run(idempotency.forget, SLOT)
    assert await db.run(idempotency.claim, SLOT, b"other", NOW, tx={}) == Fresh()
    assert await db.run(idempotency.claim, SLOT, b"other", NOW + timedelta(seconds=61), tx={}) == Fresh()
    await db.run(idempotency.complete, SLOT, 200, "x")
    assert await db.run(idempotency.claim, SLOT, b"new", NOW + timedelta(hours=25), tx={}) == Fresh()
    await db.run(idempotency.purge, NOW + timedelta(days=3))
    assert await db.run(idempotency.claim, SLOT, b"newer", NOW, tx={}) == Fresh()


@database
async def test_of_many_at_once_one_is_fresh(db):
    answers = []

    async def attempt():
        answers.append(await db.run(idempotency.claim, SLOT, b"body", NOW, tx={}))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(attempt)
    assert answers.count(Fresh()) == 1
    assert answers.count(InProgress()) == 7


# --- alerts and letters -----------------------------------------------------------------------------------------------


def an_alert(alert_id):
    return Alert(
        id=alert_id,
        code="error_lost_journal",
        severity="critical",
        reason="r",
        engine_id=None,
        stop_id="S",
        state=AlertState.OPEN,
        raised_at=NOW,
        acknowledged_by=None,
        acknowledged_at=None,
    )


@database
async def test_an_alert_is_open_until_the_first_person_acknowledges_it(db):
    assert await db.run(alerts.save, an_alert("a"))
    assert not await db.run(alerts.save, an_alert("a"))
    assert await db.run(alerts.open_alerts) == [(an_alert("a"), False)]
    await db.run(alerts.acknowledge, "a", "ann", NOW, "Ann")
    second = await db.run(alerts.acknowledge, "a", "bob", NOW + timedelta(hours=1), "Bob")
    assert (second.acknowledged_by, second.acknowledged_at, second.state) == ("ann", NOW, AlertState.ACKNOWLEDGED)
    assert second.acknowledged_by_name == "Ann"
    assert await db.run(alerts.open_alerts) == []
    assert await db.run(alerts.acknowledge, "none", "ann", NOW) is None


@database
async def test_alerts_go_by_pages(db):
    for n in range(5):
        await db.run(alerts.save, an_alert(str(n)))
    first = await db.run(alerts.page, 0, 3)
    second = await db.run(alerts.page, first.next, 3)
    assert [a.id for a in first.items + second.items] == list("01234")
    assert [a.id for a in (await db.run(alerts.page, None, 2)).items] == list("34")


@database
async def test_a_dead_letter_is_decided_once(db):
    letter = DeadLetter(id="l", engine_id="E1", kind="fill", payload="{}", reason="r", at=NOW)
    assert await db.run(letters.save, letter)
    assert not await db.run(letters.save, letter)
    assert (await db.run(letters.page, None, 10)).items == [letter]
    done = await db.run(letters.decide, "l", LetterState.DISCARDED, "rik", NOW)
    assert (done.state, done.decided_by) == (LetterState.DISCARDED, "rik")
    assert await db.run(letters.decide, "l", LetterState.RETRIED, "rik", NOW) is None


@hypothesis_settings(max_examples=100)
@given(st.text(max_size=20), st.text(max_size=20))
def test_two_secrets_hash_alike_only_when_they_are_alike(one, other):
    same = engines.secret_hash(b"k" * 32, "E", one) == engines.secret_hash(b"k" * 32, "E", other)
    assert same == (one == other)


# --- quarantine -----------------------------------------------------------------------------------------------------


@database
async def test_a_malformed_line_is_a_row_of_the_logs_marked_as_such(db):
    row = quarantined(
        {"category": "Order", "symbol": "005930"}, InvalidField("is wrong", field="x"), id="q.s.7", at=NOW
    )
    kept = Received(engine_id="E1", id=row.id, at=NOW, message=row)
    for batch in ([a_log("1"), kept, a_log("2")], [kept]):
        done = await db.run(logs.commit, batch, [], NOW, tx={})
    assert done.new == []
    first, second, third = (await db.run(logs.trade_logs, LogQuery())).items
    assert [(one.id, one.quarantined) for one in (first, third)] == [("1", False), ("2", False)]
    assert (second.id, second.quarantined, second.reason) == ("q.s.7", True, "x: is wrong")
    assert (second.category, second.message) == (LogCategory.STRATEGY, row.message)
    found = await db.run(logs.trade_logs, LogQuery(category=LogCategory.STRATEGY, text="order"))
    assert [one.id for one in found.items] == ["q.s.7"]
