"""Makes the spool, the ledger and the settings safe against power loss, on a thread, a few times a second."""

import trio

from actors.engine.desk import Desk
from supervisor.actor import Actor
from wire.messages import ErrorCategory, ErrorReport, Severity
from wire.sdk.keeper import Keeper

_PERIOD = 0.1
_PAUSE_AFTER_FAILURE = 5.0


class Scribe(Actor):
    def __init__(self, *, desk: Desk, keepers: tuple[Keeper, ...]) -> None:
        self._desk = desk
        self._keepers = keepers

    async def started(self) -> None:
        self.context.spawn(self._write)

    async def _write(self) -> None:
        outlet, ledger = self._desk.outlet, self._desk.ledger
        while True:
            try:
                for journal in (outlet, ledger):
                    if journal.unsynced:
                        await trio.to_thread.run_sync(journal.sync)
            except OSError as error:
                self._tell(error)
                await trio.sleep(_PAUSE_AFTER_FAILURE)
            for keeper in self._keepers:
                if not keeper.is_safe:
                    await keeper.persist()
            await trio.sleep(_PERIOD)

    def _tell(self, error: OSError) -> None:
        self._desk.outlet.send(
            ErrorReport(
                code="error_storage",
                category=ErrorCategory.SYSTEM,
                reason=f"a journal of this engine cannot be made safe: {error.strerror}",
                severity=Severity.CRITICAL,
                degraded=True,
            )
        )
