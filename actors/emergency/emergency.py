"""The ways to stop that need nothing else of the platform: the local socket and the emergency page.

They run in a thread of their own with a loop of their own; ``glass`` is what they do, ``doors`` is who may ask for it.
"""

import logging
import threading
from collections.abc import Callable

import trio

from actors.config import Address
from actors.emergency.doors import EmergencyDoor, emergency_code
from actors.emergency.glass import BreakGlass, EngineSockets, soon
from actors.platform.services import Services
from actors.stops.copies import StopCopies
from actors.stops.shelf import StopShelf
from supervisor.actor import Actor, handles
from supervisor.message import Request
from supervisor.reason import ExitReason

AGAIN_SECONDS = 1.0
log = logging.getLogger(__name__)


class WhereIsThePage(Request[Address | None]):
    """The address the emergency page is really served at; None: it is off, or its address is busy."""


class EmergencyThread(Actor):
    """Owns the thread. A page whose address is busy is a warning: the local socket is there all the same."""

    def __init__(self, services: Services, copies: StopCopies, shelf: StopShelf, sockets: EngineSockets) -> None:
        self._services = services
        self._copies = copies
        self._shelf = shelf
        self._sockets = sockets
        self._listening = threading.Event()
        self._ended = threading.Event()
        self._ending = threading.Event()
        self._cancel: Callable[[], object] = lambda: None
        self._page_at: Address | None = None

    async def started(self) -> None:
        glass = BreakGlass(
            services=self._services,
            copies=self._copies,
            shelf=self._shelf,
            sockets=self._sockets,
            main=trio.lowlevel.current_trio_token(),
        )
        threading.Thread(target=self._run, args=(glass,), name="emergency", daemon=True).start()
        await trio.to_thread.run_sync(self._listening.wait, 5.0)

    @handles(WhereIsThePage)
    async def on_where(self, _msg: WhereIsThePage) -> Address | None:
        return self._page_at

    async def stopped(self, reason: ExitReason) -> None:
        self._ending.set()
        self._cancel()
        await trio.to_thread.run_sync(self._ended.wait, 2.0)

    def _run(self, glass: BreakGlass) -> None:
        """Nobody else opens these doors: whatever fails here begins anew."""
        try:
            while not self._ending.is_set():
                try:
                    trio.run(self._serve, glass)
                except Exception:
                    log.exception("the emergency thread failed: it begins anew")
                    self._listening.set()
                    self._ending.wait(AGAIN_SECONDS)
        finally:
            self._listening.set()
            self._ended.set()

    async def _serve(self, glass: BreakGlass) -> None:
        token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self._cancel = lambda: soon(token, nursery.cancel_scope.cancel)
            if self._ending.is_set():
                return
            door = EmergencyDoor(glass, await trio.to_thread.run_sync(emergency_code, glass.services.settings.home))
            await nursery.start(door.serve_local)
            self._page_at = await nursery.start(door.serve_page)
            self._listening.set()
            await glass.take_up_left_stops()
