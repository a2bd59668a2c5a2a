"""Users, their sessions, the settings they save, and what may be read of them."""

import string
import threading
from datetime import UTC, datetime, timedelta

import pytest
import trio
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from store import sessions, settings, users
from store.errors import Conflict, Sealed, StaleVersion
from store.keyring import KeyRing
from tests.databases import patient
from wire.codec import encode
from wire.rest.access import Role
from wire.rest.settings import (
    BrokerageAccountInput,
    BrokerageCredentials,
    BrokerageType,
    RiskLimits,
    SecretState,
    SystemPreferences,
    UserSettingsInput,
)
from wire.schema import changed

pytestmark = pytest.mark.database
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=7)


def an_account(account_id="kis-1", **fields):
    return BrokerageAccountInput(
        id=account_id, name="main", type=BrokerageType.KIS, account_number="12345678-01", **fields
    )


def a_save(*accounts, user_id="ann", version=0, limits=None):
    given_settings = UserSettingsInput(
        brokerage_accounts=list(accounts),
        system_preferences=SystemPreferences(),
        risk_limits=limits or RiskLimits(),
    )
    return settings.Save(user_id=user_id, expected_version=version, settings=given_settings, now=NOW)


@pytest.fixture
async def ann(db):
    return await db.run(users.add, "ann", "Ann", "hash", Role.ADMIN)


@pytest.fixture
def ring():
    return KeyRing.generate()


# --- users ----------------------------------------------------------------------------------------------------------


async def test_a_user_is_found_by_name_in_any_case(db, ann):
    assert await db.run(users.find, "aNN") == ann
    assert await db.run(users.find, "bob") is None
    assert "hash" not in repr(ann)


async def test_two_users_may_not_share_a_name(db, ann):
    with pytest.raises(Conflict) as error:
        await db.run(users.add, "other", "ANN", "hash", Role.VIEWER)
    assert error.value.constraint == "users_username"


async def test_who_may_release_are_the_enabled_users_of_risk_or_above(db, ann):
    await db.run(users.add, "rik", "rik", "hash", Role.RISK)
    await db.run(users.add, "off", "off", "hash", Role.RISK)
    await db.run(users.add, "opa", "opa", "hash", Role.OPERATOR)
    await db.run(users.set_enabled, "off", False)
    assert await db.run(users.who_may_release) == ["ann", "rik"]


@pytest.mark.parametrize(
    "change",
    [
        lambda conn: users.set_password(conn, "ann", "new"),
        lambda conn: users.set_role(conn, "ann", Role.VIEWER),
        lambda conn: users.set_enabled(conn, "ann", False),
    ],
)
async def test_a_change_of_rights_ends_every_token(db, ann, change):
    await db.run(sessions.begin, "s", "ann", "token", NOW, LATER, "")
    await db.run(change, tx={})
    assert (await db.run(users.get, "ann")).token_epoch == ann.token_epoch + 1
    assert (await db.run(sessions.get, "s")).revoked_at is not None


# --- sessions -------------------------------------------------------------------------------------------------------


async def test_a_refresh_token_rotates_at_each_use(db, ann):
    await db.run(sessions.begin, "s", "ann", "one", NOW, LATER, "")
    first = await db.run(sessions.refresh, "one", "two", NOW, tx={})
    second = await db.run(sessions.refresh, "two", "three", NOW, tx={})
    assert first.rotated
    assert second.rotated
    assert second.session.user_id == "ann"


async def test_a_refresh_token_used_again_later_was_stolen_and_ends_the_session(db, ann):
    await db.run(sessions.begin, "s", "ann", "one", NOW, LATER, "")
    await db.run(sessions.refresh, "one", "two", NOW, tx={})
    assert await db.run(sessions.refresh, "one", "x", NOW + timedelta(minutes=1), tx={}) is None
    assert await db.run(sessions.refresh, "two", "x", NOW + timedelta(minutes=1), tx={}) is None
    assert await db.run(sessions.revoked_since, NOW) == ["s"]


async def test_two_tabs_that_refresh_at_once_are_no_theft(db, ann):
    await db.run(sessions.begin, "s", "ann", "one", NOW, LATER, "")
    await db.run(sessions.refresh, "one", "two", NOW, tx={})
    second_tab = await db.run(sessions.refresh, "one", "x", NOW + timedelta(seconds=3), tx={})
    assert not second_tab.rotated
    assert (await db.run(sessions.refresh, "two", "three", NOW, tx={})).rotated


@pytest.mark.parametrize("token, at", [("other", NOW), ("one", LATER)])
async def test_an_unknown_or_expired_refresh_token_is_worth_nothing(db, ann, token, at):
    await db.run(sessions.begin, "s", "ann", "one", NOW, LATER, "")
    assert await db.run(sessions.refresh, token, "new", at, tx={}) is None


async def test_a_revoked_session_stays_revoked(db, ann):
    await db.run(sessions.begin, "s", "ann", "one", NOW, LATER, "")
    assert await db.run(sessions.revoke_by_token, "one", NOW) == "s"
    assert await db.run(sessions.revoke_by_token, "one", NOW) is None
    assert await db.run(sessions.refresh, "one", "two", NOW, tx={}) is None
    await db.run(sessions.purge, LATER)
    assert await db.run(sessions.get, "s") is None


# --- settings -------------------------------------------------------------------------------------------------------


async def test_a_user_who_never_saved_has_the_defaults_at_version_zero(db, ann):
    read = await db.run(settings.read, "ann", NOW)
    assert (read.config_version, read.brokerage_accounts, read.risk_limits) == (0, [], RiskLimits())


async def test_a_read_masks_and_the_engine_s_own_account_opens(db, ann, ring):
    saved = await db.run(settings.save, ring, a_save(an_account(api_key="KEY-9", api_secret="SECRET-9")), tx={})
    shown = encode(saved, nulls=True)
    assert "KEY-9" not in shown
    assert "SECRET-9" not in shown
    assert saved.brokerage_accounts[0].api_key.set
    opened = await db.run(settings.for_account, ring, "kis-1")
    assert (opened.api_key, opened.api_secret) == ("KEY-9", "SECRET-9")
    assert "SECRET-9" not in repr(opened)
    assert await db.run(settings.for_account, ring, "none") is None


@pytest.mark.parametrize(
    "given, kept", [(SecretState(set=True), "old"), ("new", "new"), (None, None), (SecretState(set=False), None)]
)
async def test_a_secret_is_kept_replaced_or_taken_away(db, ann, ring, given, kept):
    await db.run(settings.save, ring, a_save(an_account(api_key="old")), tx={})
    saved = await db.run(settings.save, ring, a_save(an_account(api_key=given), version=1), tx={})
    assert saved.brokerage_accounts[0].api_key.set == (kept is not None)
    assert (await db.run(settings.for_account, ring, "kis-1")).api_key == kept


async def test_only_the_account_that_keeps_exactly_the_keys_that_were_taken_is_validated(db, ann, ring):
    await db.run(users.add, "bob", "Bob", "hash", Role.ADMIN)
    kept = {"api_key": "KEY-9", "api_secret": "SECRET-9"}
    others = [an_account("other", api_key="KEY-9", api_secret="SECRET-8"), an_account("none", api_key="KEY-9")]
    await db.run(settings.save, ring, a_save(an_account(**kept), *others), tx={})
    await db.run(settings.save, ring, a_save(an_account("bob-1", **kept), user_id="bob"), tx={})
    tried = BrokerageCredentials(brokerage_type=BrokerageType.KIS, account_number="12345678-01", **kept)

    async def validated():
        read = await db.run(settings.read, "ann", NOW)
        return {account.id: account.last_validated for account in read.brokerage_accounts}

    for wrong in ({"api_key": "KEY-8"}, {"account_number": "1"}, {"brokerage_type": BrokerageType.KIWOOM}):
        assert await db.run(settings.note_validated, ring, "ann", changed(tried, **wrong), LATER) == []
    assert await db.run(settings.note_validated, ring, "ann", tried, LATER) == ["kis-1"]
    assert await validated() == {"kis-1": LATER, "other": None, "none": None}
    [bobs] = (await db.run(settings.read, "bob", NOW)).brokerage_accounts
    assert bobs.last_validated is None
    await db.run(settings.save, ring, a_save(an_account(), version=1), tx={})
    assert await validated() == {"kis-1": LATER}
    moved = changed(an_account(), account_number="87654321-01")
    await db.run(settings.save, ring, a_save(moved, version=2), tx={})
    assert await validated() == {"kis-1": None}
    assert await db.run(settings.note_validated, ring, "ann", changed(tried, account_number="87654321-01"), LATER)
    await db.run(settings.save, ring, a_save(changed(moved, api_secret="SECRET-10"), version=3), tx={})
    assert await validated() == {"kis-1": None}


async def test_a_save_over_another_version_changes_nothing(db, ann, ring):
    await db.run(settings.save, ring, a_save(an_account()), tx={})
    with pytest.raises(StaleVersion) as error:
        await db.run(settings.save, ring, a_save(version=0), tx={})
    assert error.value.current == 1
    assert len((await db.run(settings.read, "ann", NOW)).brokerage_accounts) == 1


async def test_of_two_first_saves_at_once_one_wins(db, ann, ring):
    outcomes = []

    async def attempt():
        try:
            outcomes.append(await db.run(settings.save, ring, a_save(), tx={}))
        except StaleVersion as error:
            outcomes.append(error.current)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(attempt)
    assert sorted(o if isinstance(o, int) else 0 for o in outcomes) == [0, 1, 1]


async def test_an_account_of_another_user_cannot_be_taken(db, ann, ring):
    await db.run(users.add, "bob", "bob", "hash", Role.OPERATOR)
    await db.run(settings.save, ring, a_save(an_account(api_key="ann's")), tx={})
    with pytest.raises(Conflict):
        await db.run(settings.save, ring, a_save(an_account(api_key="bob's"), user_id="bob"), tx={})
    assert (await db.run(settings.for_account, ring, "kis-1")).api_key == "ann's"
    assert (await db.run(settings.read, "bob", NOW)).config_version == 0


async def test_an_account_left_out_is_gone_and_the_order_is_the_user_s(db, ann, ring):
    await db.run(settings.save, ring, a_save(an_account("a"), an_account("b"), an_account("c")), tx={})
    saved = await db.run(settings.save, ring, a_save(an_account("c"), an_account("a"), version=1), tx={})
    assert [account.id for account in saved.brokerage_accounts] == ["c", "a"]
    assert await db.run(settings.versions) == {"a": 2, "c": 2}


async def test_a_sealed_key_moved_to_another_row_does_not_open(db, ann, ring):
    await db.run(settings.save, ring, a_save(an_account("a", api_key="one"), an_account("b", api_key="two")), tx={})

    async def swap(conn):
        await conn.execute("update broker_accounts x set api_key = y.api_key from broker_accounts y where x.id <> y.id")

    await db.run(swap)
    with pytest.raises(Sealed):
        await db.run(settings.for_account, ring, "a")


async def test_a_rotation_reseals_everything_and_then_the_old_key_may_go(db, ann, ring):
    await db.run(settings.save, ring, a_save(an_account(api_key="k", api_secret="s")), tx={})
    await db.run(users.set_totp, "ann", ring.seal(b"totp", "users", "ann", "totp"))
    newer = ring.with_new_key()
    assert await db.run(settings.keys_in_use, newer) == {1: 3}
    assert await db.run(settings.rewrap, newer, tx={}) == 3
    assert await db.run(settings.rewrap, newer, tx={}) == 0
    assert await db.run(settings.keys_in_use, newer) == {2: 3}
    assert (await db.run(settings.for_account, newer.without(1), "kis-1")).api_secret == "s"


async def test_sealed_data_is_noticed(db, ann, ring):
    assert not await db.run(settings.sealed_data_exists)
    await db.run(settings.save, ring, a_save(an_account()), tx={})
    assert not await db.run(settings.sealed_data_exists)
    await db.run(settings.save, ring, a_save(an_account(api_key="k"), version=1), tx={})
    assert await db.run(settings.sealed_data_exists)


secret = st.text(string.ascii_letters + string.digits, min_size=8, max_size=80).map("sk-{}".format)


@pytest.fixture
def one_save(database_dsn):
    """Saves with a key and a secret into a database of its own, and returns (saved, read again, the raw table). One
    connection, in a thread of its own, for all examples."""
    ready, kept = threading.Event(), {}

    async def serve():
        async with patient(database_dsn, size=1).open() as db:
            await db.run(users.add, "ann", "ann", "hash", Role.ADMIN)
            kept.update(db=db, over=trio.Event(), loop=trio.lowlevel.current_trio_token())
            ready.set()
            await kept["over"].wait()

    async def round_trip(key, private, limits):
        ring, db = KeyRing.generate(), kept["db"]
        version = (await db.run(settings.read, "ann", NOW)).config_version
        given_settings = a_save(an_account(api_key=key, api_secret=private), version=version, limits=limits)
        saved = await db.run(settings.save, ring, given_settings, tx={})
        again = await db.run(settings.read, "ann", NOW)
        opened = await db.run(settings.for_account, ring, "kis-1")
        return saved, again, opened, await db.run(everything)

    async def everything(connection):
        tables = ("broker_accounts", "user_settings", "users")
        return b"".join(
            [
                bytes(value) if isinstance(value, bytes) else str(value).encode()
                for table in tables
                for row in await connection.fetch(f"select * from {table}")
                for value in row.values()
            ]
        )

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert ready.wait(60)
    yield lambda *args: trio.from_thread.run(round_trip, *args, trio_token=kept["loop"])
    trio.from_thread.run_sync(kept["over"].set, trio_token=kept["loop"])
    thread.join(60)


@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=secret, private=secret)
def test_secrets_cannot_be_read_in_the_database(one_save, key, private):
    """Feature: trading-platform-backend-integration, Property 9: sensitive configuration data is stored encrypted and
    cannot be read as plain text."""
    _, _, opened, raw = one_save(key, private, None)
    assert (opened.api_key, opened.api_secret) == (key, private)
    assert key.encode() not in raw
    assert private.encode() not in raw


@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limits=st.builds(
        RiskLimits,
        max_daily_loss=st.integers(0, 10**15),
        max_position_size=st.integers(0, 10**15),
        max_concurrent_positions=st.integers(0, 10_000),
        emergency_stop_loss=st.integers(0, 10**15),
    )
)
def test_saved_settings_are_found_again(one_save, limits):
    """Feature: trading-platform-backend-integration, Property 5: settings saved by a user persist in the database and
    later calls return them."""
    saved, again, _, _ = one_save("a-key-of-mine", "a-secret-of-mine", limits)
    assert saved == again
    assert again.risk_limits == limits
