"""The platform: its memory is opened first, then the tree of actors grows around it, listeners last.

    watchkeeper
    ├─ webhook, alerts, auditor   what people must know, what must be provable
    ├─ fleet, stops, parameters   what engines are, what holds them, what they run
    ├─ log-writer                 what they tell
    ├─ watch, incidents           what nobody asked for: alarms, triggered stops, reports
    ├─ database, health           this platform's standing with its database, and what it costs
    ├─ links, engine-listener     one actor per engine connection, and their door
    ├─ ui-clients, web            the same for people
    └─ emergency                  the way to stop that needs none of the above

A part that crashes is restarted alone. The stops, the engines' places and the fleet's rows live outside the actors, so
nothing of them is lost with one.
"""

import os
import secrets
import signal
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

import attrs
import trio

from actors.alarms.alerts import LIMIT, Alerts, DatabaseAlerts
from actors.alarms.watch import LAST_WORDS, Watch
from actors.alarms.webhook import DatabaseTellings, WebhookTeller
from actors.config import PlatformSettings
from actors.emergency.emergency import EmergencyThread, WhereIsThePage
from actors.emergency.glass import EngineSockets
from actors.errors import Failed, Refused
from actors.fleet.enrolled import ENGINES_FILE
from actors.fleet.fleet import Fleet, FleetBoard, StopsChanged
from actors.incidents.office import DatabaseReports, IncidentOffice, StopSeen
from actors.links.listener import EngineDoor, authorized
from actors.links.places import UNKNOWN_INSTANCE, LinkDesk, Office, Place, inherited
from actors.parameters.parameters import ParameterDesk
from actors.parameters.store import DatabaseParameters
from actors.platform import descriptors
from actors.platform.auditor import Auditor, DatabaseChain
from actors.platform.database_office import DatabaseOffice, ReadVersions, Standing, know_engines, make_admin
from actors.platform.health import DATABASE, Health
from actors.platform.log_writer import CAPACITY, DatabaseLedger, LogWriter
from actors.platform.opening import Opened, home_of_one, open_memory
from actors.platform.services import Services
from actors.platform.showing import show_stop, show_told
from actors.platform.starting import Begun, begin, recall_releases
from actors.requests import (
    ALERTS,
    AUDITOR,
    COORDINATOR,
    EMERGENCY,
    ENGINE_LISTENER,
    FLEET,
    HEALTH,
    INCIDENTS,
    LINKS,
    LOG_WRITER,
    PARAMETERS,
    UI_CLIENTS,
    WATCH,
    WEB,
    WEBHOOK,
)
from actors.stops.coordinator import Coordinator
from actors.stops.copies import StopCopies
from actors.stops.drills import drill_status
from actors.stops.effects import AuditStop
from actors.stops.keeping import StopKeeping
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from actors.web.auditing import CHECKPOINT
from actors.web.server import WebServer
from actors.web.sockets import listen
from store.audit import CheckpointFile
from store.database import Database
from store.embedded import EmbeddedPostgres
from store.errors import EmbeddedError, StoreError
from supervisor.actor import Actor
from supervisor.backoff import Backoff
from supervisor.dynamic import DynamicSupervisor
from supervisor.errors import SupervisorError
from supervisor.mailbox import MailboxSpec, Overflow
from supervisor.spec import ChildSpec
from supervisor.system import System, open_system
from wire.proof import check, prove
from wire.rest.engines import DrillStatus
from wire.rest.stops import Stop
from wire.tokens import TokenKeys

NAME = "watchkeeper"
DATABASE_OFFICE = "database"
DRAIN_SECONDS = 9.0
START_SECONDS = 15.0
MAX_LINKS = 4096
MAX_UI_CLIENTS = 1000
RESTARTS = Backoff(base=0.05, max_delay=1.0)
INTENSITY, PERIOD = 30, 60.0
FLEET_MAILBOX = MailboxSpec(capacity=200_000)
ALERTS_MAILBOX = MailboxSpec(capacity=LIMIT)
"""A whole fleet that fails is several alerts for each engine within one step."""
"""For actors that hear every engine: their user lane takes the burst of a whole fleet."""


async def run_platform(
    settings: PlatformSettings, *, task_status: trio.TaskStatus[Services] = trio.TASK_STATUS_IGNORED
) -> None:
    """Runs until it is cancelled, or told to end by SIGTERM or SIGINT (the second SIGINT ends it at once).

    ``task_status`` gets the services when everything listens. Raises Refused and Failed, each with one clear line.
    """
    descriptors.allow()
    with home_of_one(settings.home):
        # Asked before anything is made: a refusal leaves nothing behind, and is one line.
        for address, name in ((settings.http, "WATCHKEEPER_HTTP"), (settings.engines, "WATCHKEEPER_ENGINES")):
            listen(address, name).close()
        embedded = EmbeddedPostgres(settings.home) if settings.database_url is None else None
        dsn = settings.database_url or _start(embedded)
        try:
            async with Database(dsn).open() as db:
                await _run_beside(embedded, settings, db, dsn, task_status)
        finally:
            if embedded is not None:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(embedded.stop)


def _start(embedded: EmbeddedPostgres | None) -> str:
    assert embedded is not None
    try:
        return embedded.start()
    except EmbeddedError as error:
        raise Failed(str(error)) from None


async def _run_beside(
    embedded: EmbeddedPostgres | None,
    settings: PlatformSettings,
    db: Database,
    dsn: str,
    task_status: trio.TaskStatus[Services],
) -> None:
    """What the body raises comes out as it is, not wrapped into the nursery's group."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        if embedded is not None:
            nursery.start_soon(embedded.keep, name="embedded PostgreSQL")
        try:
            await _run(settings, db, dsn, task_status)
        except Exception as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _run(settings: PlatformSettings, db: Database, dsn: str, task_status: trio.TaskStatus[Services]) -> None:
    opened = await open_memory(settings, db, dsn)
    journal, tenure = opened.journal, opened.tenure
    ending = Ending()
    try:
        async with open_system(
            name=NAME, shutdown_deadline=DRAIN_SECONDS, intensity=INTENSITY, period=PERIOD
        ) as system:
            ending.system = system
            await system.start_child(NAME, ChildSpec(id="signals", factory=lambda: Signals(ending)))
            services = await _make_services(settings, db, opened, system)
            await _grow(services, opened, dsn, ending)
            del opened  # with all that was read of old stops
            task_status.started(services)
            await trio.Event().wait()
    except SupervisorError as error:
        raise _cause_of(error) from error
    finally:
        journal.close()
        if tenure is not None:
            tenure.end()
    if ending.refused is not None:
        raise Refused(ending.refused)


async def _make_services(settings: PlatformSettings, db: Database, opened: Opened, system: System) -> Services:
    services = Services(
        settings=settings,
        db=db,
        keyring=opened.keyring,
        tokens=TokenKeys(opened.keyring.derive("access tokens")),
        system=system,
    )
    services.enrolled.keep_in(settings.home / ENGINES_FILE)
    if opened.tenure is None:
        services.enrolled.read_file()
        services.degraded.report(DATABASE, "it could not be asked at the start")
        return services
    try:
        await know_engines(db, services.enrolled)
        await make_admin(db, settings)
    except StoreError as error:
        raise Failed(f"the database went away during the start: {error}") from None
    return services


async def _grow(services: Services, opened: Opened, dsn: str, ending: "Ending") -> None:
    parts = _Parts.of(services, opened)
    for spec in parts.children(dsn, ending):
        await services.system.start_child(NAME, spec, timeout=START_SECONDS * 2)


@attrs.frozen(kw_only=True, eq=False)
class _Parts:
    """Everything the actors stand on. It outlives each of them."""

    services: Services
    standing: Standing
    copies: StopCopies
    begun: Begun
    shelf: StopShelf
    board: FleetBoard
    keeping: StopKeeping
    checkpoint: CheckpointFile
    places: dict[str, Place]
    stranger: Callable[[], Place]
    audits: deque[AuditStop] = attrs.field(factory=deque)
    sockets: EngineSockets = attrs.field(factory=EngineSockets)

    @classmethod
    def of(cls, services: Services, opened: Opened) -> "_Parts":
        settings = services.settings
        standing = Standing(platform_id=opened.platform_id, tenure=opened.tenure)
        key = opened.keyring.derive("stop proof")
        copies = StopCopies(opened.journal, services.db, lambda: standing.term)
        begun = begin(
            opened,
            services.enrolled,
            copies,
            settings.home,
            prove=lambda record: prove(key, standing.platform_id, record),
            is_ours=lambda record: check(key, standing.platform_id, record),
            new_id=lambda: f"stop-{uuid.uuid4().hex[:20]}",
        )
        shelf = StopShelf(book=begun.book, desk=ReleaseDesk(lambda: f"release-{secrets.token_hex(8)}"))
        keeping = StopKeeping(
            begun.book,
            copies,
            services.stops,
            services.degraded,
            lambda stop: _show(services, stop),
            alert=lambda alert: services.system.ref(ALERTS).tell(alert),
        )
        for case in recall_releases(opened, shelf):
            keeping.settled(case)
        board = FleetBoard(shelf)
        for engine in services.enrolled.everyone():
            board.add(engine.engine_id, engine.name, engine.account_id).seen_before = engine.seen_before
        now = trio.current_time()
        return cls(
            services=services,
            standing=standing,
            copies=copies,
            begun=begun,
            shelf=shelf,
            board=board,
            keeping=keeping,
            checkpoint=CheckpointFile(settings.home / CHECKPOINT, opened.keyring.derive("audit checkpoint")),
            # The epochs of sessions rise over restarts; the sessions themselves are not resumed.
            places={link.engine_id: inherited(link.instance, now, epoch=link.epoch) for link in opened.links},
            # Without the database nobody can say who held the place of an engine before.
            stranger=Place if opened.tenure is not None else partial(inherited, UNKNOWN_INSTANCE, now),
        )

    def tell(self, name: str) -> Callable[[object], object]:
        """To an actor that may be restarting: what is told then waits in its mailbox."""
        ref = self.services.system.ref
        return lambda message: ref(name).tell(message)

    def children(self, dsn: str, ending: "Ending") -> Iterable[ChildSpec]:
        """In the order of their start; each finds those before it. A generator: refs are looked up as they appear."""
        s, shelf, board = self.services, self.shelf, self.board
        db, hub, degraded = s.db, s.hub, s.degraded
        yield _child(
            WEBHOOK,
            lambda: WebhookTeller(
                s.settings.webhook, DatabaseTellings(db), degraded, lambda: self.standing.platform_id
            ),
            ALERTS_MAILBOX,
        )
        alerts = partial(Alerts, DatabaseAlerts(db), hub, degraded, tell_outside=self.tell(WEBHOOK))
        yield _child(ALERTS, alerts, ALERTS_MAILBOX)
        yield _child(AUDITOR, lambda: Auditor(DatabaseChain(db, self.checkpoint), degraded, self.audits))
        yield _child(INCIDENTS, lambda: IncidentOffice(board, DatabaseReports(db)))
        yield _child(
            FLEET,
            lambda: Fleet(board, hub, shelf, config_changed=self._versions_changed, alert=self.tell(ALERTS)),
            FLEET_MAILBOX,
        )
        yield _child(COORDINATOR, self._coordinator, FLEET_MAILBOX)
        yield _child(PARAMETERS, self._parameters)
        yield _child(
            LOG_WRITER,
            lambda: LogWriter(DatabaseLedger(db), degraded, lambda one: show_told(hub, one)),
            MailboxSpec(capacity=CAPACITY, overflow=Overflow.FAIL),
        )
        yield _child(
            DATABASE_OFFICE,
            lambda: DatabaseOffice(
                s,
                self.standing,
                dsn,
                self.copies.generation,
                lambda: (stop_id for stop_id, _ in shelf.book.register.open_stops()),
                ending.usurped,
            ),
        )
        yield _child(WATCH, self._watch)
        yield _child(
            HEALTH,
            lambda: Health(board, hub, degraded, s.system, drill=self._drill, page=self._emergency_page),
        )
        yield _child(LINKS, lambda: DynamicSupervisor(max_children=MAX_LINKS))
        desk = self._link_desk()
        yield _child(ENGINE_LISTENER, lambda: EngineDoor(s, desk, self.sockets))
        yield _child(UI_CLIENTS, lambda: DynamicSupervisor(max_children=MAX_UI_CLIENTS))
        yield _child(WEB, lambda: WebServer(s))
        yield _child(EMERGENCY, lambda: EmergencyThread(s, self.copies, shelf, self.sockets))

    def _coordinator(self) -> Coordinator:
        return Coordinator(
            self.shelf,
            self.keeping,
            self.copies,
            self.board,
            alert=self.tell(ALERTS),
            audit=self.tell(AUDITOR),
            changed=lambda engines: self.tell(FLEET)(StopsChanged(engine_ids=frozenset(engines))),
            first=self.begun.first,
        )

    async def _emergency_page(self) -> str | None:
        address = await self.services.system.ref(EMERGENCY).ask(WhereIsThePage(), timeout=1.0)
        scheme = "https" if self.services.settings.emergency_tls else "http"
        return f"{scheme}://{address}/" if address is not None else None

    def _watch(self) -> Watch:
        s = self.services
        return Watch(
            self.board,
            self.shelf,
            s.degraded,
            s.refusals,
            s.settings.triggers,
            s.settings.home / LAST_WORDS,
            alert=self.tell(ALERTS),
        )

    def _drill(self) -> DrillStatus:
        return drill_status(
            self.shelf.book.drills_of(),
            datetime.now(UTC),
            days=self.services.settings.drill_days,
            known=self.standing.tenure is not None,
        )

    def _parameters(self) -> ParameterDesk:
        s = self.services
        return ParameterDesk(
            DatabaseParameters(s.db),
            s.updates,
            self.board,
            self.shelf,
            s.hub,
            alert=self.tell(ALERTS),
            hold=self.tell(COORDINATOR),
        )

    def _link_desk(self) -> LinkDesk:
        s, ref = self.services, self.services.system.ref

        def config_version(engine_id: str) -> int:
            known = s.enrolled.get(engine_id)
            return self.standing.config_versions.get(known.account_id, 0) if known is not None else 0

        return LinkDesk(
            shelf=self.shelf,
            office=lambda: Office(platform_id=self.standing.platform_id, term=self.standing.term or 0),
            coordinator=ref(COORDINATOR),
            fleet=ref(FLEET),
            parameters=ref(PARAMETERS),
            log_writer=ref(LOG_WRITER),
            alerts=ref(ALERTS),
            verify=lambda engine_id, token: _token_end(s, engine_id, token),
            database_is_away=lambda: s.degraded.is_degraded(DATABASE) or s.db.down_since is not None,
            config_version=config_version,
            is_enrolled=lambda engine_id: s.enrolled.get(engine_id) is not None or not s.enrolled.is_complete,
            places=self.places,
            stranger=self.stranger,
        )

    def _versions_changed(self) -> None:
        self.tell(DATABASE_OFFICE)(ReadVersions())


def _show(services: Services, stop: Stop) -> None:
    show_stop(services.hub, stop)
    services.system.ref(INCIDENTS).tell(StopSeen(stop=stop))


def _token_end(services: Services, engine_id: str, token: str) -> datetime:
    claims = authorized(services, engine_id, token)
    return datetime.fromtimestamp(claims.exp, UTC)


def _child(name: str, factory: Callable[[], Actor], mailbox: MailboxSpec | None = None) -> ChildSpec:
    return ChildSpec(
        id=name,
        factory=factory,
        backoff=RESTARTS,
        start_timeout=START_SECONDS,
        mailbox=mailbox or MailboxSpec(),
    )


# --- the end ----------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Ending:
    """Why the platform ends. ``refused``: another one has taken its database."""

    system: System | None = None
    refused: str | None = None

    def usurped(self, reason: str) -> None:
        self.refused = reason
        self.drain()

    def drain(self) -> None:
        if self.system is not None:
            self.system.stop()


class Signals(Actor):
    """SIGTERM and SIGINT drain; a second SIGINT ends the process where it stands."""

    def __init__(self, ending: Ending) -> None:
        self._ending = ending

    async def started(self) -> None:
        self.context.spawn(self._listen, name="signals")

    async def _listen(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
            interrupted = 0
            async for number in received:
                interrupted += number == signal.SIGINT
                if interrupted > 1:
                    os._exit(130)
                self._ending.drain()


def _cause_of(error: BaseException) -> Exception:
    """The plain refusal inside a failed start, where there is one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Refused | Failed):
            return cause
        cause = cause.__cause__ or cause.__context__
    return Failed(f"the platform could not go on: {error}")
