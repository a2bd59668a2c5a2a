"""Settings of users: preferences, risk limits and broker accounts, whose keys are sealed (properties 5, 6, 9).

A read gives masks, never a secret. Only ``for_account`` opens secrets, for the one engine of that account. A save is
the whole of a user's settings, compared and set by ``config_version``.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import asyncpg
import attrs

from store.database import Connection
from store.errors import Conflict, StaleVersion
from store.jsoncolumn import from_json, to_json
from store.keyring import KeyRing
from wire.rest.settings import (
    BrokerageAccount,
    BrokerageAccountInput,
    BrokerageCredentials,
    BrokerageType,
    RiskLimits,
    SecretState,
    SystemPreferences,
    UserSettings,
    UserSettingsInput,
)

_SETTINGS = (
    "id, user_id, config_version, system_preferences, max_daily_loss, max_position_size, max_concurrent_positions,"
    " emergency_stop_loss, created_at, updated_at"
)
_ACCOUNT = (
    "id, user_id, name, type, account_number, api_key, api_key_fingerprint, api_key_updated_at, api_secret,"
    " api_secret_fingerprint, api_secret_updated_at, is_active, last_validated"
)


@attrs.frozen(kw_only=True)
class AccountConfiguration:
    """What the one engine of an account needs. The secrets are plain here: never log, audit before they leave."""

    config_version: int
    account_id: str
    name: str
    type: BrokerageType
    account_number: str
    is_active: bool
    api_key: str | None = attrs.field(repr=False)
    api_secret: str | None = attrs.field(repr=False)
    risk_limits: RiskLimits
    system_preferences: SystemPreferences


async def read(conn: Connection, user_id: str, now: datetime) -> UserSettings:
    """Masked. A user who never saved has the defaults, version 0."""
    row = await conn.fetchrow(f"select {_SETTINGS} from user_settings where user_id = $1", user_id)
    accounts = await conn.fetch(f"select {_ACCOUNT} from broker_accounts where user_id = $1 order by position", user_id)
    if row is None:
        return UserSettings(
            id=user_id,
            user_id=user_id,
            brokerage_accounts=[],
            system_preferences=SystemPreferences(),
            risk_limits=RiskLimits(),
            created_at=now,
            updated_at=now,
            config_version=0,
        )
    return UserSettings(
        id=row["id"],
        user_id=row["user_id"],
        brokerage_accounts=[_masked(account) for account in accounts],
        system_preferences=from_json(row["system_preferences"], SystemPreferences),
        risk_limits=_limits(row),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        config_version=row["config_version"],
    )


@attrs.frozen(kw_only=True)
class Save:
    user_id: str
    expected_version: int
    settings: UserSettingsInput
    now: datetime


async def save(conn: Connection, ring: KeyRing, save: Save) -> UserSettings:
    """The new masked settings, one version up. Needs a transaction.

    Raises StaleVersion, and Conflict (broker_account_id) when an account's id belongs to another user.
    """
    current = await conn.fetchval(
        "select config_version from user_settings where user_id = $1 for update", save.user_id
    )
    if (current or 0) != save.expected_version:
        raise StaleVersion(current or 0)
    limits = save.settings.risk_limits
    row = await conn.fetchrow(
        "insert into user_settings (id, user_id, config_version, system_preferences, max_daily_loss, max_position_size,"
        " max_concurrent_positions, emergency_stop_loss, created_at, updated_at)"
        " values ($1, $1, 1, $2, $3, $4, $5, $6, $7, $7) on conflict (user_id) do update"
        " set config_version = user_settings.config_version + 1, system_preferences = $2, max_daily_loss = $3,"
        " max_position_size = $4, max_concurrent_positions = $5, emergency_stop_loss = $6, updated_at = $7"
        " returning config_version",
        *(save.user_id, to_json(save.settings.system_preferences), limits.max_daily_loss, limits.max_position_size),
        *(limits.max_concurrent_positions, limits.emergency_stop_loss, save.now),
    )
    assert row is not None
    if row["config_version"] != save.expected_version + 1:
        raise StaleVersion(row["config_version"] - 1)  # two first saves met
    await _save_accounts(conn, ring, save)
    return await read(conn, save.user_id, save.now)


async def _save_accounts(conn: Connection, ring: KeyRing, save: Save) -> None:
    accounts: Sequence[BrokerageAccountInput] = save.settings.brokerage_accounts
    ids = [account.id for account in accounts]
    if len(set(ids)) != len(ids):
        raise Conflict("broker_account_id")
    await conn.execute("delete from broker_accounts where user_id = $1 and id <> all($2)", save.user_id, ids)
    for position, account in enumerate(accounts):
        owner = await conn.fetchval(
            "insert into broker_accounts as a (id, user_id, position, name, type, account_number, is_active)"
            " values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do update"
            " set position = $3, name = $4, type = $5, account_number = $6, is_active = $7,"
            " last_validated = case when a.type = $5 and a.account_number = $6 then a.last_validated end"
            " where a.user_id = $2 returning user_id",
            *(account.id, save.user_id, position, account.name, account.type.value, account.account_number),
            account.is_active,
        )
        if owner is None:
            raise Conflict("broker_account_id")
        await _save_key(conn, ring, account.id, account.api_key, save.now)
        await _save_secret(conn, ring, account.id, account.api_secret, save.now)


Given = str | SecretState | None


async def _save_key(conn: Connection, ring: KeyRing, account_id: str, given: Given, now: datetime) -> None:
    if _is_kept(given):
        return
    await conn.execute(
        "update broker_accounts set api_key = $2, api_key_fingerprint = $3, api_key_updated_at = $4,"
        " last_validated = null where id = $1",
        *(account_id, *_sealed(ring, account_id, "api_key", given), now),
    )


async def _save_secret(conn: Connection, ring: KeyRing, account_id: str, given: Given, now: datetime) -> None:
    if _is_kept(given):
        return
    await conn.execute(
        "update broker_accounts set api_secret = $2, api_secret_fingerprint = $3, api_secret_updated_at = $4,"
        " last_validated = null where id = $1",
        *(account_id, *_sealed(ring, account_id, "api_secret", given), now),
    )


def _is_kept(given: Given) -> bool:
    return isinstance(given, SecretState) and given.set


def _sealed(ring: KeyRing, account_id: str, column: str, given: Given) -> tuple[bytes | None, str | None]:
    """The value to store and its fingerprint; nothing for a secret that is taken away."""
    if not isinstance(given, str):
        return None, None
    return ring.seal(given.encode(), "broker_accounts", account_id, column), _fingerprint(ring, given)


def _fingerprint(ring: KeyRing, secret: str) -> str:
    return hashlib.blake2b(secret.encode(), key=ring.derive("secret fingerprints"), digest_size=6).hexdigest()


async def for_account(conn: Connection, ring: KeyRing, account_id: str) -> AccountConfiguration | None:
    """The whole configuration of one account, secrets open. Raises Sealed. None when no user has that account."""
    row = await conn.fetchrow(f"select {_ACCOUNT} from broker_accounts where id = $1", account_id)
    if row is None:
        return None
    settings = await conn.fetchrow(f"select {_SETTINGS} from user_settings where user_id = $1", row["user_id"])
    assert settings is not None
    return AccountConfiguration(
        config_version=settings["config_version"],
        account_id=row["id"],
        name=row["name"],
        type=BrokerageType(row["type"]),
        account_number=row["account_number"],
        is_active=row["is_active"],
        api_key=_opened(ring, row, "api_key"),
        api_secret=_opened(ring, row, "api_secret"),
        risk_limits=_limits(settings),
        system_preferences=from_json(settings["system_preferences"], SystemPreferences),
    )


def _opened(ring: KeyRing, row: asyncpg.Record, column: str) -> str | None:
    blob = row[column]
    return None if blob is None else ring.open(blob, "broker_accounts", row["id"], column).decode()


async def versions(conn: Connection) -> dict[str, int]:
    """The config_version that holds for each broker account."""
    rows = await conn.fetch("select a.id, s.config_version from broker_accounts a join user_settings s using (user_id)")
    return {row["id"]: row["config_version"] for row in rows}


async def note_validated(
    conn: Connection, ring: KeyRing, user_id: str, tried: BrokerageCredentials, at: datetime
) -> list[str]:
    """The broker took these keys: noted for the accounts of this user that keep exactly these. Returns their ids."""
    rows = await conn.fetch(
        "update broker_accounts set last_validated = $6 where user_id = $1 and type = $2 and account_number = $3"
        " and api_key_fingerprint = $4 and api_secret_fingerprint = $5 returning id",
        *(user_id, tried.brokerage_type.value, tried.account_number),
        *(_fingerprint(ring, tried.api_key), _fingerprint(ring, tried.api_secret), at),
    )
    return sorted(row["id"] for row in rows)


# --- keys -----------------------------------------------------------------------------------------------------------


async def sealed_data_exists(conn: Connection) -> bool:
    """Whether anything here can only be read with the key ring: then a missing one is never made anew."""
    return bool(
        await conn.fetchval(
            "select exists (select from broker_accounts where api_key is not null or api_secret is not null)"
            " or exists (select from users where totp is not null)"
        )
    )


async def keys_in_use(conn: Connection, ring: KeyRing) -> dict[int, int]:
    """How many sealed values name each key. A key may be retired when it is not in here."""
    rows = await conn.fetch(
        "select api_key as blob from broker_accounts where api_key is not null union all"
        " select api_secret from broker_accounts where api_secret is not null union all"
        " select totp from users where totp is not null"
    )
    counts: dict[int, int] = {}
    for row in rows:
        number = ring.number_of(row["blob"])
        counts[number] = counts.get(number, 0) + 1
    return counts


async def rewrap(conn: Connection, ring: KeyRing) -> int:
    """Seals everything under the active key, and returns how many values changed. Needs a transaction; may be rerun."""
    changed = 0
    for row in await conn.fetch("select id, api_key, api_secret from broker_accounts for update"):
        key, secret = (
            row[column] and ring.rewrap(row[column], "broker_accounts", row["id"], column)
            for column in ("api_key", "api_secret")
        )
        changed += (key != row["api_key"]) + (secret != row["api_secret"])
        await conn.execute(
            "update broker_accounts set api_key = $2, api_secret = $3 where id = $1", row["id"], key, secret
        )
    for row in await conn.fetch("select id, totp from users where totp is not null for update"):
        totp = ring.rewrap(row["totp"], "users", row["id"], "totp")
        changed += totp != row["totp"]
        await conn.execute("update users set totp = $2 where id = $1", row["id"], totp)
    return changed


def _limits(row: asyncpg.Record) -> RiskLimits:
    return RiskLimits(
        max_daily_loss=row["max_daily_loss"],
        max_position_size=row["max_position_size"],
        max_concurrent_positions=row["max_concurrent_positions"],
        emergency_stop_loss=row["emergency_stop_loss"],
    )


def _masked(row: asyncpg.Record) -> BrokerageAccount:
    return BrokerageAccount(
        id=row["id"],
        name=row["name"],
        type=BrokerageType(row["type"]),
        api_key=_mask(row, "api_key"),
        api_secret=_mask(row, "api_secret"),
        account_number=row["account_number"],
        is_active=row["is_active"],
        last_validated=row["last_validated"],
    )


def _mask(row: asyncpg.Record, column: str) -> SecretState:
    return SecretState(
        set=row[column] is not None,
        fingerprint=row[f"{column}_fingerprint"],
        updated_at=row[f"{column}_updated_at"],
    )
