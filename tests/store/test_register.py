"""The database's copy of the register, releases, parameters, the term and the one platform of a database."""

import contextlib
from datetime import UTC, datetime, timedelta
from functools import partial

import attrs
import pytest
import trio

from store import parameters, platform, releases, stops, users
from store.errors import StaleTerm, StaleVersion, Unavailable
from store.parameters import EffectiveRow, Outcome, Wanted
from store.releases import ReleaseRow
from store.tenure import AnotherPlatform, Tenure
from tests.databases import patient
from tests.stops.ground import noted_view
from wire.parts import ParameterSpec
from wire.rest.access import Role
from wire.rest.releases import ChecklistItem, ReducedLimits, ReleaseState, ReleaseStep, Waiver
from wire.rest.stops import EmergencyStopResult, Stop, StopState, TimelineEvent
from wire.rest.strategies import UpdateStatus
from wire.stops import Entry, Level, Scope
from wire.values import Flatness, StopPhase

pytestmark = pytest.mark.database
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def a_stop(stop_id="S1", epoch=5, level=Level.HALT, scope="all", **fields):
    return Stop(
        stop_id=stop_id,
        request_id=fields.pop("request_id", f"r-{stop_id}"),
        epoch=epoch,
        scope=Scope.parse(scope),
        level=level,
        user_id="ann",
        reason="drill",
        requested_at=NOW,
        delivered=1,
        engines=2,
        durable=True,
        state=StopState.RUNNING,
        results=fields.pop("results", []),
        **fields,
    )


RESULT = EmergencyStopResult(
    engine_id="E1",
    success=False,
    phase=StopPhase.FROZEN,
    positions_liquidated=0,
    orders_cancelled=3,
    orders_remaining=None,
    positions_remaining=2,
    flatness=Flatness.UNKNOWN,
    flatness_as_of=NOW,
    flatness_reason="no read yet",
    residuals=[],
    ms_to_frozen=12,
    completed_at=None,
    error=None,
)


@pytest.fixture
async def term(db):
    return (await db.run(platform.begin_term)).term


# --- stops ----------------------------------------------------------------------------------------------------------


async def test_a_stop_comes_back_as_it_was_saved(db, term):
    told = TimelineEvent(at=NOW, event="requested", detail="긴급", level=Level.HALT)
    stop = a_stop(results=[RESULT], timeline=[told, TimelineEvent(at=NOW, event="frozen", engine_id="E1")])
    await db.run(stops.save, term, stop, tx={})
    assert await db.run(stops.get, "S1") == stop
    assert await db.run(stops.by_request, "r-S1") == stop
    assert await db.run(stops.open_stops) == [stop]
    assert await db.run(stops.get, "none") is None


async def test_every_stop_is_read_in_brief_and_some_are_read_whole(db, term, monkeypatch):
    monkeypatch.setattr(stops, "BRIEFS_AT_ONCE", 2)
    monkeypatch.setattr(stops, "FULL_AT_ONCE", 2)
    made = [a_stop(f"S{n}", epoch=n, results=[RESULT], scope="all" if n % 2 else "engine:E1") for n in range(1, 6)]
    for stop in made:
        await db.run(stops.save, term, stop, tx={})
    await db.run(stops.release, term, ["S2"], 7, NOW, tx={})
    found = await db.run(stops.briefs)
    assert list(found) == ["S1", "S2", "S3", "S4", "S5"]
    for stop in made:
        brief = found[stop.stop_id]
        assert brief.noted == noted_view(stop)
        assert (brief.delivered, brief.engines, brief.state) == (1, 2, StopState.RUNNING)
        assert brief.entry == Entry(stop.scope, stop.level, stop.epoch, 7 if stop.stop_id == "S2" else None)
    assert [b.released_at for b in found.values()] == [None, NOW, None, None, None]
    assert await db.run(stops.register) == stops.register_of(found, 7)
    assert await db.run(stops.some, ["S5", "S1", "none", "S3"]) == [made[0], made[2], made[4]]
    assert await db.run(stops.some, []) == []


async def test_a_timeline_of_before_it_had_levels_is_read(db, term):
    await db.run(stops.save, term, a_stop(), tx={})
    old = '[{"at": "2026-03-02T09:00:00Z", "event": "raised", "engine_id": null, "detail": "ann: CANCEL more"}]'

    async def as_it_was(conn):
        await conn.execute("update stops set timeline = $1", old)

    await db.run(as_it_was)
    [event] = (await db.run(stops.get, "S1")).timeline
    assert (event.detail, event.level) == ("ann: CANCEL more", None)


async def test_saving_again_merges_upwards_only(db, term):
    await db.run(stops.save, term, a_stop(level=Level.CANCEL, epoch=5), tx={})
    await db.run(stops.save, term, a_stop(level=Level.HALT, epoch=9, request_id="again"), tx={})
    held = await db.run(stops.save, term, a_stop(level=Level.REDUCE_ONLY, epoch=3), tx={})
    assert (held.level, held.stop_epoch) == (Level.CANCEL, 9)
    register = await db.run(stops.register)
    assert register.entries["S1"] == held
    assert register.epoch == 9
    assert (await db.run(stops.by_request, "again")).stop_id == "S1"
    assert await db.run(stops.requests) == {"r-S1": "S1", "again": "S1"}


async def test_a_copy_that_disagrees_about_the_scope_means_everything(db, term):
    await db.run(stops.save, term, a_stop(scope="engine:E1"), tx={})
    await db.run(stops.save, term, a_stop(scope="engine:E2"), tx={})
    assert (await db.run(stops.get, "S1")).scope == Scope.everything()


async def test_a_release_ends_what_was_open_at_its_epoch_and_nothing_raised_since(db, term):
    await db.run(stops.save, term, a_stop("A", epoch=5), tx={})
    await db.run(stops.save, term, a_stop("B", epoch=8), tx={})
    assert await db.run(stops.release, term, ["A", "B", "none"], 7, NOW, tx={}) == ["A"]
    assert await db.run(stops.release, term, ["A"], 9, NOW, tx={}) == []
    assert [stop.stop_id for stop in await db.run(stops.open_stops)] == ["B"]
    assert (await db.run(stops.get, "A")).released_at == NOW
    register = await db.run(stops.register)
    assert register.released_ids() == ["A"]
    assert register.epoch == 9


async def test_a_released_stop_that_is_raised_is_open_again(db, term):
    await db.run(stops.save, term, a_stop(epoch=5), tx={})
    await db.run(stops.release, term, ["S1"], 6, NOW, tx={})
    await db.run(stops.save, term, a_stop(epoch=7), tx={})
    assert (await db.run(stops.get, "S1")).released_at is None
    assert len(await db.run(stops.open_stops)) == 1


async def test_progress_touches_no_epoch_and_no_release(db, term):
    await db.run(stops.save, term, a_stop(), tx={})
    await db.run(stops.release, term, ["S1"], 6, NOW, tx={})
    later = a_stop(epoch=99, level=Level.FLATTEN, results=[RESULT])
    assert await db.run(stops.save_progress, later)
    assert not await db.run(stops.save_progress, a_stop("none"))
    kept = await db.run(stops.get, "S1")
    assert (kept.epoch, kept.level, kept.released_at, kept.results) == (5, Level.HALT, NOW, [RESULT])


async def test_an_earlier_platform_writes_no_epoch(db, term):
    await db.run(stops.save, term, a_stop(), tx={})
    await db.run(platform.begin_term)
    for write in (
        lambda conn: stops.save(conn, term, a_stop("S2")),
        lambda conn: stops.release(conn, term, ["S1"], 9, NOW),
        lambda conn: platform.note_epoch(conn, term, 50),
        lambda conn: platform.note_journal(conn, term, 1),
    ):
        with pytest.raises(StaleTerm):
            await db.run(write, tx={})
    assert [stop.stop_id for stop in await db.run(stops.open_stops)] == ["S1"]
    assert (await db.run(stops.register)).epoch == 5


async def test_two_writers_of_epochs_never_wait_for_each_other(db, term):
    for name in "AB":
        await db.run(stops.save, term, a_stop(name), tx={})
    async with trio.open_nursery() as nursery:
        for n in range(12):
            nursery.start_soon(partial(db.run, stops.save, term, a_stop("A", epoch=10 + n), tx={}))
            nursery.start_soon(partial(db.run, stops.release, term, ["B"], 10 + n, NOW, tx={}))
    assert (await db.run(stops.register)).epoch == 21


async def test_a_raise_brings_who_and_why_and_a_late_row_takes_nothing_back(db, term):
    await db.run(stops.save, term, a_stop(drill=True, username="Ann"), tx={})
    assert (await db.run(stops.get, "S1")).username == "Ann"
    await db.run(stops.save, term, a_stop(epoch=6, level=Level.CANCEL, username="Bob"), tx={})
    await db.run(stops.save, term, a_stop(drill=True, username="Ann"), tx={})
    kept = await db.run(stops.get, "S1")
    assert (kept.drill, kept.level, kept.epoch, kept.username) == (False, Level.CANCEL, 6, "Bob")


async def test_drills_are_listed_apart(db, term):
    for n in range(4):
        await db.run(stops.save, term, a_stop(str(n), epoch=n + 1, drill=n % 2 == 1), tx={})
    for after in (0, None):
        assert [s.stop_id for s in (await db.run(stops.page, after, 9, True)).items] == ["1", "3"]
        assert [s.stop_id for s in (await db.run(stops.page, after, 9, False)).items] == ["0", "2"]


async def test_stops_go_by_pages_newest_last(db, term):
    for n in range(5):
        await db.run(stops.save, term, a_stop(str(n), epoch=n + 1), tx={})
    first = await db.run(stops.page, 0, 3)
    second = await db.run(stops.page, first.next, 3)
    assert [stop.stop_id for stop in first.items + second.items] == list("01234")
    assert second.next is None
    assert [stop.stop_id for stop in (await db.run(stops.page, None, 2)).items] == list("34")


# --- releases -------------------------------------------------------------------------------------------------------


def a_request(release_id, stop_id="S1"):
    return ReleaseRow(
        id=release_id,
        stop_id=stop_id,
        state=ReleaseState.REQUESTED,
        epoch=5,
        requested_by="rik",
        reason="over",
        resume=False,
        waive=[Waiver(engine_id="E9", reason="gone")],
        checklist=[ChecklistItem(name="flat", ok=True, detail="")],
        requested_at=NOW,
        not_before=NOW + timedelta(seconds=60),
        reduced=ReducedLimits(minutes=15, max_order_value=1_000_000) if release_id == "2" else None,
    )


def settled(row, state, by=None):
    step = ReleaseStep(at=NOW, state=state, by=by, detail=None)
    return attrs.evolve(row, state=state, approved_by=by, decided_at=NOW, history=[*row.history, step])


async def test_one_release_waits_for_a_stop_and_a_new_one_voids_it(db, term):
    await db.run(stops.save, term, a_stop(), tx={})
    await db.run(releases.request, a_request("1"), tx={})
    await db.run(releases.request, a_request("2"), tx={})
    assert await db.run(releases.waiting, "S1") == a_request("2")
    assert not await db.run(releases.settle, settled(a_request("1"), ReleaseState.RELEASED, "ann"))
    done = settled(a_request("2"), ReleaseState.RELEASED, "ann")
    assert await db.run(releases.settle, done)
    assert await db.run(releases.everyone_waiting) == []
    assert await db.run(releases.last, "S1") == done
    assert await db.run(releases.last, "S9") is None


async def test_a_voided_release_cannot_be_approved_and_takes_no_other_with_it(db, term):
    await db.run(stops.save, term, a_stop(), tx={})
    await db.run(releases.request, a_request("1"), tx={})
    void = settled(a_request("1"), ReleaseState.VOID)
    assert await db.run(releases.settle, void)
    assert not await db.run(releases.settle, settled(a_request("1"), ReleaseState.APPROVED, "ann"))
    await db.run(releases.request, a_request("2"), tx={})
    assert await db.run(releases.settle, void)  # told again, late
    assert await db.run(releases.waiting, "S1") == a_request("2")


# --- parameters -----------------------------------------------------------------------------------------------------


def a_wish(request_id, value, expected=None, status=UpdateStatus.PENDING):
    return Wanted(
        engine_id="E1",
        strategy_id="S",
        request_id=request_id,
        parameters={"takeProfitPercent": value, "lots": 3},
        user_id="ann",
        at=NOW,
        expected_version=expected,
        status=status,
    )


def ended(request_id, status, **fields):
    return Outcome(request_id=request_id, status=status, at=NOW, **fields)


async def head_version(db):
    head = await db.run(parameters.head, "E1", "S")
    return head.version if head else 0


async def test_versions_are_given_in_turn_and_compared(db):
    first = await db.run(parameters.propose, a_wish("a", 1.5, 0), tx={})
    second = await db.run(parameters.propose, a_wish("b", 2.5, 1), tx={})
    assert (first.version, second.version, second.base_version) == (1, 2, 1)
    assert second.parameters == {"takeProfitPercent": 2.5, "lots": 3}
    with pytest.raises(StaleVersion) as error:
        await db.run(parameters.propose, a_wish("c", 3.5, 1), tx={})
    assert error.value.current == 2


async def test_the_same_request_again_is_the_same_version(db):
    first = await db.run(parameters.propose, a_wish("a", 1.5, 0), tx={})
    assert await db.run(parameters.propose, a_wish("a", 1.5, 0), tx={}) == first


async def test_of_two_changes_of_the_same_version_one_wins(db):
    answers = []

    async def attempt(request_id):
        try:
            answers.append((await db.run(parameters.propose, a_wish(request_id, 1.0, 0), tx={})).version)
        except StaleVersion:
            answers.append(None)

    async with trio.open_nursery() as nursery:
        for request_id in "abcd":
            nursery.start_soon(attempt, request_id)
    assert sorted(answers, key=str) == [1, None, None, None]


async def test_a_failed_or_expired_version_gives_the_head_back(db):
    await db.run(parameters.propose, a_wish("a", 1.5), tx={})
    await db.run(parameters.settle, ended("a", UpdateStatus.APPLIED, effective={"lots": 3}), tx={})
    await db.run(parameters.propose, a_wish("b", 2.5), tx={})
    await db.run(parameters.propose, a_wish("c", 3.5), tx={})
    await db.run(parameters.settle, ended("b", UpdateStatus.EXPIRED), tx={})
    assert await head_version(db) == 3
    failed = await db.run(parameters.settle, ended("c", UpdateStatus.FAILED, error="error_x", reason="no"), tx={})
    assert (failed.status, failed.error, failed.reason) == (UpdateStatus.FAILED, "error_x", "no")
    assert await head_version(db) == 1
    assert (await db.run(parameters.propose, a_wish("d", 4.5, 1), tx={})).version == 4


async def test_the_only_version_failing_leaves_no_head(db):
    await db.run(parameters.propose, a_wish("a", 1.5), tx={})
    await db.run(parameters.settle, ended("a", UpdateStatus.FAILED), tx={})
    assert await head_version(db) == 0


async def test_an_answer_after_another_answer_is_applied_late_and_moves_no_head(db):
    await db.run(parameters.propose, a_wish("a", 1.5), tx={})
    await db.run(parameters.settle, ended("a", UpdateStatus.EXPIRED), tx={})
    late = await db.run(parameters.settle, ended("a", UpdateStatus.APPLIED, effective={"lots": 3}), tx={})
    assert (late.status, late.effective, late.applied_at) == (UpdateStatus.APPLIED_LATE, {"lots": 3}, NOW)
    assert await head_version(db) == 0
    again = await db.run(parameters.settle, ended("a", UpdateStatus.FAILED), tx={})
    assert again == late
    assert await db.run(parameters.settle, ended("none", UpdateStatus.APPLIED), tx={}) is None


async def test_what_nobody_answered_is_found_after_a_restart(db):
    await db.run(parameters.propose, a_wish("a", 1.5), tx={})
    adopted = await db.run(parameters.propose, a_wish("b", 2.5, status=UpdateStatus.APPLIED), tx={})
    assert [row.request_id for row in await db.run(parameters.pending)] == ["a"]
    assert adopted.effective == adopted.parameters
    assert [row.version for row in await db.run(parameters.history, "E1", "S", 0, 10)] == [1, 2]
    assert await db.run(parameters.version, "E1", "S", 2) == adopted
    assert await db.run(parameters.heads, "E1") == [adopted]
    assert await db.run(parameters.heads, "E2") == []


async def test_what_the_engine_says_it_runs_is_kept_apart(db):
    schema = {"lots": ParameterSpec(type="integer", minimum=1, maximum=9, step=1)}
    row = EffectiveRow(
        engine_id="E1", strategy_id="S", version=4, parameters={"lots": 3}, parameter_schema=schema, at=NOW
    )
    await db.run(parameters.note_effective, row)
    newer = attrs.evolve(row, version=5, parameters={"lots": 4})
    await db.run(parameters.note_effective, newer)
    assert await db.run(parameters.effective, "E1", "S") == newer
    assert await db.run(parameters.effective, "E1", "none") is None


# --- the platform -----------------------------------------------------------------------------------------------------


async def test_the_key_ring_is_bound_to_the_database(db):
    assert await db.run(platform.bind_key_check, "one")
    assert await db.run(platform.bind_key_check, "one")
    assert not await db.run(platform.bind_key_check, "two")


async def test_the_journal_s_generation_is_remembered(db, term):
    assert (await db.run(platform.read)).journal_generation is None
    await db.run(platform.note_journal, term, 3)
    assert (await db.run(platform.read)).journal_generation == 3


async def test_a_database_serves_one_platform_at_a_time(db, database_dsn):
    first = await Tenure.begin(db)
    async with patient(database_dsn, size=2).open() as other:
        with pytest.raises(AnotherPlatform):
            await Tenure.begin(other, patience=0.2)
        first.end()
        second = await Tenure.begin(other, patience=60)
        assert second.term == first.term + 1
        second.end()


async def test_a_platform_that_was_cut_off_writes_nothing_into_a_database_that_another_one_has_taken(database_dsn):
    async with patient(database_dsn, size=2).open() as db, patient(database_dsn, size=2).open() as other:
        tenure = await Tenure.begin(db)
        await db.run(note, "mine")

        async def cut_off(conn):
            await conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where pid <> pg_backend_pid() and application_name like 'watchkeeper%'"
                " and datname = current_database()"
            )

        await other.run(cut_off)
        with contextlib.suppress(Unavailable):
            await db.run(platform.read)  # by the connection that is broken
        assert not db.usurped  # only cut off: the same platform comes back
        await db.run(note, "mine again")

        await other.run(cut_off)
        usurper = await Tenure.begin(other, patience=60)
        for _ in range(6):
            with pytest.raises(Unavailable):
                await db.run(note, "not mine any more")
        assert db.usurped
        assert await other.run(noted) == {"mine", "mine again"}
        with pytest.raises(StaleTerm):
            await tenure.keep()
        await other.run(note, "the other's")
        usurper.end()
        tenure.end()


async def note(conn, name):
    """A write that compares no term by itself."""
    await users.add(conn, name, name, "hash", Role.VIEWER)


async def noted(conn):
    return {row["id"] for row in await conn.fetch("select id from users")}


async def holders(conn):
    """Of the lock: the sessions' process ids."""
    found = await conn.fetch(
        "select pid from pg_locks join pg_stat_activity using (pid) where locktype = 'advisory' and granted"
        " and application_name = 'watchkeeper-tenure' and datname = current_database()"
    )
    return {row["pid"] for row in found}


async def test_a_lost_lock_is_taken_again_or_the_platform_learns_it_was_replaced(db, database_dsn, monkeypatch):
    monkeypatch.setattr("store.tenure._PROBE_SECONDS", 0.02)
    tenure = await Tenure.begin(db)

    async def kill(conn):
        await conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'watchkeeper-tenure'"
        )

    async with patient(database_dsn, size=2).open() as other:
        (killed,) = await other.run(holders)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tenure.keep)
                await other.run(kill)
                while not (await other.run(holders) - {killed} and tenure._connection):  # noqa: ASYNC110 - no event tells it
                    await trio.sleep(0.02)
                nursery.cancel_scope.cancel()
        with pytest.raises(AnotherPlatform):
            await Tenure.begin(other, patience=0)
        await other.run(kill)
        usurper = await Tenure.begin(other, patience=60)
        with pytest.raises(StaleTerm):
            await tenure.keep()
        usurper.end()
    tenure.end()
