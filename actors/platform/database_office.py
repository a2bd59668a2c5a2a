"""This platform's standing with its database: who it is there, that it is the only one, and whether it answers.

When the database was away at the start, this actor takes office as soon as it is back: what it knows of stops is merged
into the register (stops count, releases of stops known here do not), the engines on its list become known, and from
then on epochs may be written to it.
"""

import logging
import secrets
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import attrs
import trio

from actors.config import PlatformSettings
from actors.errors import Refused
from actors.fleet.enrolled import EnrolledEngines
from actors.links.messages import StopsRead
from actors.platform.health import DATABASE
from actors.platform.opening import another_ring, kept_stops, take_office
from actors.platform.services import Services
from actors.requests import COORDINATOR, FLEET, EngineEnrolled
from actors.stops.copies import words_of
from actors.stops.past import over_of
from store import audit, engines, idempotency, platform, sessions, settings, users
from store.database import Connection, Database
from store.errors import StaleTerm, StoreError
from store.keyring import KeyFile
from store.passwords import Passwords
from store.start import read_database
from store.tenure import Tenure
from supervisor.actor import Actor, handles
from wire.rest.access import Role

PING_SECONDS = 1.0
PING_TIMEOUT = 3.0
VERSIONS_SECONDS = 5.0
ASK_SECONDS = 10.0
FORGET_SECONDS = 3600.0
ENDED_KEPT = timedelta(days=1)
"""A session that ended: its access tokens must be denied for as long as they could be taken, also after a restart."""
USURPED = "another platform has started on this database"

log = logging.getLogger(__name__)


@attrs.define(kw_only=True, eq=False)
class Standing:
    """Read by everybody, changed only here. ``tenure`` None: not in office yet."""

    platform_id: str
    tenure: Tenure | None
    config_versions: dict[str, int] = attrs.field(factory=dict)

    @property
    def term(self) -> int | None:
        return self.tenure.term if self.tenure is not None else None


@attrs.frozen(kw_only=True)
class ReadVersions:
    """Somebody's settings were saved: read again which version holds for which broker account."""


@attrs.frozen(kw_only=True)
class ForgetExpired:
    """It is time to delete what nobody can ask for any more."""


class DatabaseOffice(Actor):
    """``usurped`` is called when another platform has taken the database: this one may not go on. ``open_stops``: the
    ids of those that are open here."""

    def __init__(
        self,
        services: Services,
        standing: Standing,
        dsn: str,
        journal_generation: Callable[[], int],
        open_stops: Callable[[], Iterable[str]],
        usurped: Callable[[str], object],
    ) -> None:
        self._services = services
        self._standing = standing
        self._dsn = dsn
        self._journal_generation = journal_generation
        self._open_stops = open_stops
        self._usurped = usurped

    async def started(self) -> None:
        self.context.spawn(self._watch, name="watch")
        self.context.every(ReadVersions(), period=VERSIONS_SECONDS, after=0.0)
        self.context.every(ForgetExpired(), period=FORGET_SECONDS, after=FORGET_SECONDS / 60)

    @handles(ReadVersions)
    async def on_read_versions(self, _msg: ReadVersions) -> None:
        try:
            with trio.fail_after(PING_TIMEOUT):
                self._standing.config_versions = await self._services.db.run(settings.versions)
        except (StoreError, trio.TooSlowError) as error:
            self.context.log.debug("the versions of settings could not be read: %s", error)

    @handles(ForgetExpired)
    async def on_forget_expired(self, _msg: ForgetExpired) -> None:
        try:
            with trio.fail_after(PING_TIMEOUT):
                await self._services.db.run(_forget_expired, datetime.now(UTC))
        except (StoreError, trio.TooSlowError) as error:
            self.context.log.debug("what has expired could not be deleted: %s", error)

    async def _watch(self) -> None:
        if self._standing.tenure is not None:
            self.context.spawn(self._hold, self._standing.tenure, name="tenure")
        while True:
            await self._look()
            await trio.sleep(PING_SECONDS)

    async def _look(self) -> None:
        degraded, db = self._services.degraded, self._services.db
        try:
            with trio.fail_after(PING_TIMEOUT):
                found = await db.run(platform.read)
            if self._standing.tenure is None:
                await self._join()
            elif found.term != self._standing.term:
                self._usurped(USURPED)
                return
        except (StoreError, trio.TooSlowError) as error:
            degraded.report(DATABASE, str(error) or "it does not answer")
            if db.usurped:
                self._usurped(USURPED)
        except Refused as error:
            self._usurped(error.message)
        else:
            degraded.restored(DATABASE)

    async def _hold(self, tenure: Tenure) -> None:
        while True:
            try:
                await tenure.keep()
            except StaleTerm as error:
                self._usurped(str(error))
                return
            except StoreError as error:
                self.context.log.warning("the hold on the database could not be checked: %s", error)

    async def _join(self) -> None:
        db = self._services.db
        keys = KeyFile(self._services.settings.keys)
        tenure = await take_office(db, self._dsn, keys)
        if not await db.run(platform.bind_key_check, self._services.keyring.check):
            raise another_ring(keys)
        reading = await db.run(read_database, tx={"isolation": "repeatable_read"})
        kept = await db.run(kept_stops, reading.briefs, list(self._open_stops()))
        self._standing.platform_id, self._standing.tenure = reading.platform_id, tenure
        self.context.spawn(self._hold, tenure, name="tenure")
        await db.run(platform.note_journal, tenure.term, self._journal_generation())
        read = StopsRead(
            register=reading.register,
            words={stop_id: words_of(stop) for stop_id, stop in reading.stops.items()},
            views=kept.views,
            requests=kept.requests,
            releases=kept.releases,
            past=[over_of(brief, words_of(brief.noted)) for brief in kept.past],
        )
        await self.context.find(COORDINATOR).ask(read, timeout=ASK_SECONDS)
        await know_engines(db, self._services.enrolled)
        for engine in self._services.enrolled.everyone():
            told = EngineEnrolled(engine_id=engine.engine_id, name=engine.name, account_id=engine.account_id)
            await self.context.find(FLEET).ask(told, timeout=ASK_SECONDS)
        await make_admin(db, self._services.settings)
        self.context.log.info("the database is back; term %s", tenure.term)


async def _forget_expired(conn: Connection, now: datetime) -> None:
    await idempotency.purge(conn, now)
    await sessions.purge(conn, now - ENDED_KEPT)


async def know_engines(db: Database, enrolled: EnrolledEngines) -> None:
    enrolled.replace(await db.run(engines.registered))


async def make_admin(db: Database, here: PlatformSettings) -> None:
    """The first user of a new database. A password that nobody gave is made, and shown this once."""
    if await db.run(users.count):
        return
    password = here.admin_password or secrets.token_urlsafe(15)
    hashed = await Passwords().hash(password)
    await db.run(_add_admin, hashed, tx={})
    if here.admin_password is None:
        print(f"\n  user admin, password {password}   (shown once; change it)\n", file=sys.stderr, flush=True)


async def _add_admin(conn: Connection, hashed: str) -> None:
    row = await users.add(conn, f"u-{secrets.token_hex(6)}", "admin", hashed, Role.ADMIN)
    await audit.append(
        conn,
        actor="platform",
        action="user.add",
        target=f"user:{row.id}",
        detail={"username": "admin", "role": Role.ADMIN.value},
        at=datetime.now(UTC),
    )
