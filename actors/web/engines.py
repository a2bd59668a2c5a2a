"""Enrolling engines, and what an engine reads about itself."""

import base64
import json
import secrets
from datetime import UTC, datetime
from typing import Annotated

from nacl.exceptions import CryptoError
from nacl.public import PublicKey, SealedBox

from actors.fleet.enrolled import EnrolledEngine as Known
from actors.platform.services import Services
from actors.requests import FLEET, EngineEnrolled, EngineRemoved
from actors.web.answers import Listing
from actors.web.problems import Problem, not_found, unavailable
from actors.web.table import Answer, Call, Caller, Route
from store import audit, engines, settings
from store.database import Connection
from store.engines import EngineRow, secret_hash
from store.errors import Conflict, Unavailable
from store.keyring import KeyRing
from store.settings import AccountConfiguration
from wire.rest.access import Role
from wire.rest.engines import EnrolledEngine, EnrolRequest
from wire.rest.settings import BrokerageType, RiskLimits
from wire.schema import C, message
from wire.stops import Identifier
from wire.values import Name

PublicKeyText = Annotated[str, C(max_length=64)]


@message
class RotateRequest:
    """``public_key``: X25519, base64; left out keeps the one that is there."""

    public_key: PublicKeyText | None = None


@message
class EngineConfiguration:
    """What one engine needs to trade.

    ``sealed``: a sealed box (X25519, XSalsa20-Poly1305) for its public key, base64; in it JSON with ``app_key``,
    ``app_secret`` and ``account`` (digits). None while the account has no keys, or the engine no public key.
    """

    engine_id: Identifier
    config_version: Annotated[int, C(ge=0)]
    account_id: Identifier
    name: Name
    type: BrokerageType
    account_number: Annotated[str, C(max_length=32)]
    is_active: bool
    sealed: Annotated[str, C(secret=True)] | None
    risk_limits: RiskLimits


def _shown(row: EngineRow, secret: str | None = None) -> EnrolledEngine:
    return EnrolledEngine(
        engine_id=row.engine_id, name=row.name, account_id=row.account_id, created_at=row.created_at, secret=secret
    )


async def enrol_engine(services: Services, by: str, request: EnrolRequest) -> EnrolledEngine:
    """Enrols an engine; the answer holds its secret, which nothing else ever tells. ``by``: a user's id, for the audit.

    Raises Problem 409 when the account, the name or the id is taken, 422 for a bad public key, and Unavailable.
    """
    _check_key(request.public_key)
    engine_id = request.engine_id or f"e-{secrets.token_hex(5)}"
    secret = secrets.token_urlsafe(32)
    hashed = secret_hash(services.keyring.derive("engine secrets"), engine_id, secret)
    try:
        row = await services.db.run(_enrol, by, engine_id, request, hashed, tx={})
    except Conflict as conflict:
        raise _taken(conflict) from None
    await _know(services)
    told = EngineEnrolled(engine_id=engine_id, name=row.name, account_id=row.account_id)
    await services.system.ref(FLEET).ask(told, timeout=5.0)
    return _shown(row, secret)


async def enrol(call: Call) -> Answer:
    return Answer(value=await enrol_engine(call.services, call.who.user_id, call.body), status=201)


async def _enrol(conn: Connection, by: str, engine_id: str, request: EnrolRequest, hashed: bytes) -> EngineRow:
    row = await engines.enrol(conn, engine_id, request.name, request.account_id, hashed, request.public_key)
    detail = {"name": row.name, "account_id": row.account_id}
    await audit.append(conn, actor=by, action="engine.enrol", target=f"engine:{engine_id}", detail=detail)
    return row


def _taken(conflict: Conflict) -> Problem:
    if conflict.constraint == "one_engine_per_account":
        return Problem(409, "error_account_in_use", "another engine trades this account", "account_id")
    if conflict.constraint == "engines_name":
        return Problem(409, "error_name_in_use", "there is an engine of that name", "name")
    return Problem(409, "error_engine_id_in_use", "that engine id was given before", "engine_id")


def _check_key(public_key: str | None) -> None:
    if public_key is None:
        return
    try:
        PublicKey(base64.b64decode(public_key, validate=True))
    except (ValueError, TypeError, CryptoError):
        raise Problem(422, "error_invalid_field", "must be a 32-byte X25519 key in base64", "public_key") from None


async def _know(services: Services) -> None:
    services.enrolled.replace(await services.db.run(engines.registered))


async def list_engines(call: Call) -> Answer:
    rows = await call.services.db.run(engines.registered)
    return Answer(value=Listing(items=[_shown(row) for row in rows]))


async def deregister(call: Call) -> Answer:
    """Its tokens count no more, its link is closed, and its id is never given again."""
    engine_id, now = call.identifier("engine_id"), datetime.now(UTC)
    if not await call.services.db.run(_deregister, call.who.user_id, engine_id, now, tx={}):
        raise not_found("engine")
    call.services.denied.require_generation(engine_id, int(now.timestamp()))
    await _know(call.services)
    await call.services.system.ref(FLEET).ask(EngineRemoved(engine_id=engine_id), timeout=5.0)
    return Answer(status=204)


async def _deregister(conn: Connection, by: str, engine_id: str, now: datetime) -> bool:
    done = await engines.deregister(conn, engine_id, now)
    if done:
        await audit.append(conn, actor=by, action="engine.remove", target=f"engine:{engine_id}", detail={})
    return done


async def rotate_engine(services: Services, by: str, engine_id: str, public_key: str | None) -> EnrolledEngine:
    """A new secret, shown once; the old one, and the tokens it got, count no more. Raises Problem and Unavailable."""
    _check_key(public_key)
    now, secret = datetime.now(UTC), secrets.token_urlsafe(32)
    hashed = secret_hash(services.keyring.derive("engine secrets"), engine_id, secret)
    row = await services.db.run(_rotate, by, engine_id, hashed, public_key, now, tx={})
    if row is None:
        raise not_found("engine")
    services.denied.require_generation(engine_id, int(now.timestamp()))
    await _know(services)
    return _shown(row, secret)


async def rotate(call: Call) -> Answer:
    engine_id = call.identifier("engine_id")
    return Answer(value=await rotate_engine(call.services, call.who.user_id, engine_id, call.body.public_key))


async def _rotate(
    conn: Connection, by: str, engine_id: str, hashed: bytes, public_key: str | None, now: datetime
) -> EngineRow | None:
    if not await engines.rotate(conn, engine_id, hashed, public_key, now):
        return None
    await audit.append(conn, actor=by, action="engine.rotate", target=f"engine:{engine_id}", detail={})
    return await engines.get(conn, engine_id)


async def read_configuration(services: Services, engine_id: str) -> EngineConfiguration:
    """For both listeners: the configuration of this engine alone, noted in the audit log before it leaves."""
    known = services.enrolled.get(engine_id)
    if known is None:
        raise not_found("engine")
    try:
        found = await services.db.run(_audited, services.keyring, known, tx={})
    except Unavailable:
        raise unavailable("the configuration cannot be read and audited now") from None
    if found is None:
        raise Problem(404, "error_no_configuration", "no user has saved the broker account of this engine")
    return _sealed(found, known)


async def _audited(conn: Connection, ring: KeyRing, engine: Known) -> AccountConfiguration | None:
    found = await settings.for_account(conn, ring, engine.account_id)
    detail = {"account_id": engine.account_id, "config_version": found.config_version if found else None}
    target = f"engine:{engine.engine_id}"
    await audit.append(conn, actor=target, action="engine.config.read", target=target, detail=detail)
    return found


def _sealed(found: AccountConfiguration, engine: Known) -> EngineConfiguration:
    return EngineConfiguration(
        engine_id=engine.engine_id,
        config_version=found.config_version,
        account_id=found.account_id,
        name=found.name,
        type=found.type,
        account_number=found.account_number,
        is_active=found.is_active,
        sealed=_seal(engine.public_key, found),
        risk_limits=found.risk_limits,
    )


def _seal(public_key: str | None, found: AccountConfiguration) -> str | None:
    if public_key is None or not (found.api_key and found.api_secret):
        return None
    account = found.account_number.replace("-", "")
    keys = json.dumps({"app_key": found.api_key, "app_secret": found.api_secret, "account": account})
    box = SealedBox(PublicKey(base64.b64decode(public_key)))
    return base64.b64encode(box.encrypt(keys.encode())).decode()


async def own_configuration(call: Call) -> Answer:
    if call.claims is None:
        raise Problem(401, "error_unauthorized", "an engine's token is needed")
    return Answer(value=await read_configuration(call.services, call.claims.sub))


ROUTES = (
    Route(
        method="GET",
        path="/api/engine/config",
        handler=own_configuration,
        doc="The configuration of the engine whose token this is.",
        caller=Caller.ENGINE,
        answer=EngineConfiguration,
        refusals=(404,),
    ),
    Route(
        method="GET",
        path="/api/engines",
        handler=list_engines,
        doc="Every enrolled engine.",
        role=Role.ADMIN,
        answer=list[EnrolledEngine],
        csv=True,
    ),
    Route(
        method="POST",
        path="/api/engines",
        handler=enrol,
        doc="Enrol an engine. Its secret is in this answer and nowhere else.",
        role=Role.ADMIN,
        body=EnrolRequest,
        answer=EnrolledEngine,
        status=201,
        remember=True,
        seal_answer=True,
    ),
    Route(
        method="DELETE",
        path="/api/engines/<engine_id>",
        handler=deregister,
        doc="Deregister an engine; its link is closed within a second.",
        role=Role.ADMIN,
        status=204,
        remember=True,
    ),
    Route(
        method="POST",
        path="/api/engines/<engine_id>/rotate",
        handler=rotate,
        doc="A new secret for an engine.",
        role=Role.ADMIN,
        body=RotateRequest,
        optional_body=True,
        answer=EnrolledEngine,
        remember=True,
        seal_answer=True,
    ),
)
