"""Users, for administrators. Whatever changes a user ends that user's tokens, here and in open links, at once."""

import secrets
from datetime import datetime
from typing import Annotated

from actors.web.answers import Listing
from actors.web.problems import Problem, not_found
from actors.web.table import Answer, Call, Route
from store import audit, users
from store.database import Connection
from store.errors import Conflict
from store.users import UserRow
from wire.rest.access import Role
from wire.schema import C, message
from wire.stops import Identifier

NewPassword = Annotated[str, C(secret=True, min_length=8, max_length=256)]
Username = Annotated[str, C(pattern=r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")]


@message
class NewUser:
    username: Username
    password: NewPassword
    role: Role = Role.VIEWER


@message
class ChangedUser:
    """What is left out stays as it is."""

    password: NewPassword | None = None
    role: Role | None = None
    enabled: bool | None = None


@message
class Person:
    id: Identifier
    username: Annotated[str, C(max_length=64)]
    role: Role
    enabled: bool
    created_at: datetime


def _person(row: UserRow) -> Person:
    return Person(id=row.id, username=row.username, role=row.role, enabled=row.enabled, created_at=row.created_at)


async def everyone(call: Call) -> Answer:
    rows = await call.services.db.run(users.everyone)
    return Answer(value=Listing(items=[_person(row) for row in rows]))


async def add(call: Call) -> Answer:
    new: NewUser = call.body
    hashed = await call.doors.passwords.hash(new.password)
    try:
        row = await call.services.db.run(_add, call.who.user_id, new, hashed, tx={})
    except Conflict:
        raise Problem(409, "error_name_in_use", "there is a user of that name already", "username") from None
    return Answer(value=_person(row), status=201)


async def _add(conn: Connection, by: str, new: NewUser, hashed: str) -> UserRow:
    row = await users.add(conn, f"u-{secrets.token_hex(6)}", new.username, hashed, new.role)
    detail = {"username": row.username, "role": row.role.value}
    await audit.append(conn, actor=by, action="user.add", target=f"user:{row.id}", detail=detail)
    return row


async def change(call: Call) -> Answer:
    """Another role, another password, disabled or enabled: in every case the user signs in again."""
    wanted: ChangedUser = call.body
    hashed = await call.doors.passwords.hash(wanted.password) if wanted.password is not None else None
    row = await call.services.db.run(_change, call.who.user_id, call.identifier("user_id"), wanted, hashed, tx={})
    if row is None:
        raise not_found("user")
    call.services.denied.require_generation(row.id, row.token_epoch)
    return Answer(value=_person(row))


async def _change(conn: Connection, by: str, user_id: str, wanted: ChangedUser, hashed: str | None) -> UserRow | None:
    before = await users.get(conn, user_id)
    if before is None:
        return None
    await _keep_an_admin(conn, before, wanted)
    if hashed is not None:
        await users.set_password(conn, user_id, hashed)
    if wanted.role is not None:
        await users.set_role(conn, user_id, wanted.role)
    if wanted.enabled is not None:
        await users.set_enabled(conn, user_id, wanted.enabled)
    detail = {
        "password": "changed" if hashed is not None else "kept",
        "role": (wanted.role or before.role).value,
        "enabled": before.enabled if wanted.enabled is None else wanted.enabled,
    }
    await audit.append(conn, actor=by, action="user.change", target=f"user:{user_id}", detail=detail)
    return await users.get(conn, user_id)


async def _keep_an_admin(conn: Connection, before: UserRow, wanted: ChangedUser) -> None:
    loses = wanted.enabled is False or (wanted.role is not None and wanted.role is not Role.ADMIN)
    if before.role is not Role.ADMIN or not before.enabled or not loses:
        return
    others = [u for u in await users.everyone(conn) if u.role is Role.ADMIN and u.enabled and u.id != before.id]
    if not others:
        raise Problem(409, "error_last_admin", "this is the last administrator")


ROUTES = (
    Route(
        method="GET",
        path="/api/users",
        handler=everyone,
        doc="Everyone who may sign in.",
        role=Role.ADMIN,
        answer=list[Person],
        csv=True,
    ),
    Route(
        method="POST",
        path="/api/users",
        handler=add,
        doc="Add a user.",
        role=Role.ADMIN,
        body=NewUser,
        answer=Person,
        status=201,
        remember=True,
    ),
    Route(
        method="PATCH",
        path="/api/users/<user_id>",
        handler=change,
        doc="Change a user's role or password, disable or enable it. Ends all its sessions.",
        role=Role.ADMIN,
        body=ChangedUser,
        answer=Person,
        remember=True,
    ),
)
