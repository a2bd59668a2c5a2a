"""The settings of a user: read masked, saved whole against a version, checked with the broker on demand."""

from contextlib import suppress
from datetime import UTC, datetime

from actors.requests import FLEET, ConfigurationChanged, Principal
from actors.web.problems import Problem
from actors.web.table import Answer, Call, Route
from actors.web.validation import validate
from store import audit, settings
from store.database import Connection
from store.errors import Conflict, StoreError
from store.keyring import KeyRing
from wire.codec import unstructure
from wire.rest.access import Role
from wire.rest.settings import BrokerageCredentials, RiskLimits, UserSettings, UserSettingsInput, ValidationResult

TOKEN_FOLDER = "tokens"
"""Where in the home folder the engines share the broker's tokens."""


def loosened(old: RiskLimits, new: RiskLimits) -> list[str]:
    """The limits that allow more than before. Raising any of them takes more risk."""
    before, after = unstructure(old), unstructure(new)
    return [name for name in after if after[name] > before[name]]


async def read(call: Call) -> Answer:
    now = datetime.now(UTC)
    found = await call.services.db.run(settings.read, call.who.user_id, now)
    return _answer(found)


def _answer(found: UserSettings) -> Answer:
    return Answer(value=found, headers={"ETag": f'"{found.config_version}"'})


async def save(call: Call) -> Answer:
    wanted = settings.Save(
        user_id=call.who.user_id, expected_version=call.version(), settings=call.body, now=datetime.now(UTC)
    )
    try:
        saved = await call.services.db.run(_save, call.services.keyring, call.who, wanted, tx={})
    except Conflict:
        raise Problem(
            409, "error_account_id_in_use", "an account of that id belongs to another user", "brokerage_accounts"
        ) from None
    call.services.system.ref(FLEET).tell(ConfigurationChanged(config_version=saved.config_version))
    return _answer(saved)


async def _save(conn: Connection, ring: KeyRing, who: Principal, wanted: settings.Save) -> UserSettings:
    before = await settings.read(conn, who.user_id, wanted.now)
    looser = loosened(before.risk_limits, wanted.settings.risk_limits)
    if looser and before.config_version == wanted.expected_version and not who.role.may(Role.RISK):
        raise Problem(
            403, "error_risk_role_required", "loosening a limit needs the risk role", f"risk_limits.{looser[0]}"
        )
    saved = await settings.save(conn, ring, wanted)
    await audit.append(
        conn, actor=who.user_id, action="settings.save", target=f"settings:{who.user_id}", detail=_detail(saved, looser)
    )
    return saved


def _detail(saved: UserSettings, looser: list[str]) -> dict[str, object]:
    return {
        "config_version": saved.config_version,
        "accounts": [account.id for account in saved.brokerage_accounts],
        "risk_limits": unstructure(saved.risk_limits),
        "loosened": looser,
    }


async def try_keys(call: Call) -> Answer:
    where = call.services.settings
    result = await validate(call.body, tokens=where.home / TOKEN_FOLDER, url=where.kis_url)
    if result.is_valid:
        ring, who = call.services.keyring, call.who.user_id
        with suppress(StoreError):  # what the broker said does not depend on a note of it
            await call.services.db.run(settings.note_validated, ring, who, call.body, datetime.now(UTC))
    return Answer(value=result)


ROUTES = (
    Route(
        method="GET",
        path="/api/settings/user",
        handler=read,
        doc="The caller's settings, secrets masked.",
        role=Role.OPERATOR,
        answer=UserSettings,
        sets=("ETag",),
    ),
    Route(
        method="POST",
        path="/api/settings/user",
        handler=save,
        doc="Save all settings. A secret left out or {set: true} is kept, a string replaces, null deletes.",
        role=Role.OPERATOR,
        body=UserSettingsInput,
        answer=UserSettings,
        sets=("ETag",),
        if_match=True,
        remember=True,
    ),
    Route(
        method="POST",
        path="/api/settings/validate",
        handler=try_keys,
        doc="Try broker keys: their form, then a token and a balance call.",
        role=Role.OPERATOR,
        body=BrokerageCredentials,
        answer=ValidationResult,
        refusals=(429,),
    ),
)
