"""Hello and welcome of one connection: whether it gets the place of its engine, and what it is told when it does."""

import logging
import secrets
from collections.abc import Callable
from datetime import datetime

import attrs
import trio

from actors.fleet.fleet import EngineGreeted
from actors.links.messages import CloseNow, EngineAdmitted, LinkUp
from actors.links.places import LinkDesk, Place, Verdict
from actors.platform.log_writer import SessionBegun
from supervisor.errors import SupervisorError
from supervisor.ref import Ref
from wire.messages import EmergencyStop, Hello
from wire.session import CloseCode, Event, Offer, PlatformSession

TAKEOVER_SECONDS = 2.0
COORDINATOR_SECONDS = 2.0


@attrs.frozen(kw_only=True, eq=False)
class Greeting:
    """``lane``: by which the coordinator sends stops in the step of its decision."""

    engine_id: str
    desk: LinkDesk
    place: Place
    session: PlatformSession
    link: Ref
    lane: Callable[[EmergencyStop], bool]
    token_expires: datetime
    log: "logging.LoggerAdapter[logging.Logger]"

    async def take(self, hello: Hello) -> list[Event]:
        """The barrier: the older connection is over, the coordinator knows this one, then the snapshot is read.

        Between the snapshot and the enqueuing of the welcome there is no checkpoint.
        """
        place, session = self.place, self.session
        async with place.greeting:
            if not self.desk.is_enrolled(self.engine_id):
                return session.close(CloseCode.DEREGISTERED)
            verdict = place.claim(hello.instance, trio.current_time())
            if verdict is Verdict.IN_USE:
                place.rival = True
                return session.close(CloseCode.IN_USE)
            if verdict is Verdict.SAME and session.connection < place.welcomed:
                # This hello was overtaken by that of a newer connection: the engine has left this one long ago.
                return session.close(CloseCode.SUPERSEDED)
            return await self._admit(hello, verdict)

    async def _admit(self, hello: Hello, verdict: Verdict) -> list[Event]:
        place, session = self.place, self.session
        await self._end_older_link()
        up = LinkUp(engine_id=self.engine_id, hello=hello, link=self.link, lane=self.lane)
        try:
            await self.desk.coordinator.ask(up, timeout=COORDINATOR_SECONDS, urgent=True)
        except SupervisorError:
            return session.close(CloseCode.OVERLOADED)
        place.take(hello.instance, verdict, trio.current_time())
        place.link, place.welcomed = self.link, session.connection
        if not self.desk.is_enrolled(self.engine_id):  # it was deregistered in this very moment
            return session.close(CloseCode.DEREGISTERED)
        events = self._welcome(hello)
        self.desk.fleet.tell(EngineGreeted(engine_id=self.engine_id, hello=hello))
        self.desk.parameters.tell(EngineAdmitted(engine_id=self.engine_id, hello=hello, link=self.link))
        return events

    async def _end_older_link(self) -> None:
        older = self.place.link
        if older is None or older.closed or older == self.link:
            return
        close = CloseNow(code=CloseCode.SUPERSEDED, reason=CloseCode.SUPERSEDED.reason)
        try:
            await older.ask(close, timeout=TAKEOVER_SECONDS, urgent=True)
        except SupervisorError:
            self.log.info("the older connection of %s was gone already", self.engine_id)

    def _welcome(self, hello: Hello) -> list[Event]:
        now, place, session, office = trio.current_time(), self.place, self.session, self.desk.office()
        detached, place.detached = place.detached, None
        if not session.resumable(detached):
            place.epoch += 1
        offer = Offer(
            session=secrets.token_hex(12),
            epoch=place.epoch,
            platform_id=office.platform_id,
            term=office.term,
            stop=self.desk.shelf.snapshot(self.engine_id, [s.stop_id for s in hello.stops]),
            lease_ms=self.desk.lease_ms(place, place.synced, now),
            token_expires=self.token_expires,
            config_version=self.desk.config_version(self.engine_id),
            on_lease_expiry=self.desk.on_expiry,
        )
        events = session.welcome(offer, now, detached=detached)
        if not session.resumed:
            self.desk.log_writer.tell(
                SessionBegun(
                    engine_id=self.engine_id,
                    session=session.session,
                    instance=place.surely(hello.instance, now),
                    version=hello.version,
                    trading_mode=hello.trading_mode.value,
                )
            )
        return events
