"""The platform behind its links, in virtual time: what tests ask of it, and stand-ins for its database."""

from datetime import timedelta

import attrs
import trio

from actors.board import Board
from actors.links.engine_link import EngineLink
from actors.links.messages import DeliverRelease
from actors.links.places import LinkDesk
from actors.requests import ListEngines, Principal, TakeStop
from actors.stops.effects import RaiseAlert, SendRelease
from actors.stops.parts import Instant
from store.errors import Unavailable
from store.logs import Committed
from supervisor.actor import Actor
from supervisor.spec import ChildSpec, Restart
from tests.actors.links.engine import START, Pipe, wall
from wire.rest.access import Role
from wire.rest.stops import StopRequest


class Ledger:
    """The database as the log writer sees it."""

    def __init__(self):
        self.rows = {}
        self.letters = []
        self.progress = []
        self.away = False

    async def begin(self, begun, now):
        self.ask()

    async def commit(self, received, progress, now):
        self.ask()
        new = [r for r in received if (r.engine_id, r.id) not in self.rows]
        self.rows.update({(r.engine_id, r.id): r.message for r in new})
        self.progress += progress
        return Committed(new=new, rejected=[], moved=frozenset())

    async def bury(self, letter):
        self.ask()
        self.letters.append(letter)

    async def note_account(self, engine_id, account):
        self.ask()

    def ask(self):
        if self.away:
            raise Unavailable("the database is away")


class NoRecords:
    """Journal and database of stops that are always there."""

    async def write_journal(self, stops):
        await trio.lowlevel.checkpoint()

    async def save_stop(self, stop):
        await trio.lowlevel.checkpoint()


class Listening(Actor):
    """Takes any message, and keeps it."""

    def __init__(self, heard):
        self.heard = heard

    async def unhandled(self, message):
        self.heard.append(message)


@attrs.define
class World:
    system: object
    desk: LinkDesk
    ledger: Ledger
    board: Board
    alerts: list
    nursery: trio.Nursery
    count: int = 0

    def codes(self):
        """Of the alerts so far."""
        return [a.code for a in self.alerts if isinstance(a, RaiseAlert)]

    async def connect(self, engine, *, settle=True, pipe=None):
        pipe = pipe or Pipe()
        self.count += 1
        expires = wall() + timedelta(minutes=15)
        spec = ChildSpec(
            id=f"{engine.engine_id}.{self.count}",
            factory=lambda: EngineLink(engine.engine_id, pipe, self.desk, expires, wall=wall),
            restart=Restart.TEMPORARY,
        )
        link = await self.system.start_child("links", spec)
        self.nursery.start_soon(engine.run, pipe)
        if settle:
            await trio.sleep(0.01)
        return link

    async def stop(self, **fields):
        who = Principal(user_id="kim", username="kim", role=Role.OPERATOR, auth_time=START)
        return await self.system.ref("stops").ask(TakeStop(principal=who, request=StopRequest(**fields)), urgent=True)

    def release(self, stop_id):
        """Its whole procedure lies behind it: the register and every link hear of it now."""
        book, now = self.desk.shelf.book, Instant(mono=trio.current_time(), wall=wall())
        plan = book.plan_release(stop_id, [], resume=True, user_id="lee", reason="over", now=now)
        for effect in book.apply_release(plan, now):
            if isinstance(effect, SendRelease):
                message = DeliverRelease(message=effect.message)
                self.desk.shelf.links[effect.engine_id].tell(message, urgent=True)

    async def status(self, engine_id):
        rows = await self.system.ref("fleet").ask(ListEngines())
        return next(r for r in rows if r.engine_id == engine_id)

    async def state(self, stop, state, timeout=5):
        return await self.board.wait_for(stop.stop_id, lambda s: s.state is state, timeout=timeout)
