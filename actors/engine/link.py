"""The link to the platform as one actor of the reference engine; what it decides is the SDK's."""

from collections.abc import Callable

import attrs

from actors.engine.desk import Desk
from actors.engine.strategy_actor import ApplyParameters
from supervisor.actor import Actor
from supervisor.errors import Failure, UnknownActor
from wire.http import HttpClient
from wire.messages import Hello, ParameterUpdate
from wire.parts import Clocks, Resume
from wire.sdk.conversation import Conversation, Done, Parts, refusal
from wire.sdk.halting import Halting
from wire.sdk.keeper import Keeper
from wire.sdk.platform import Credential
from wire.sdk.trio_driver import TrioDriver

_PARAMETER_TIMEOUT = 5.0


@attrs.frozen(kw_only=True)
class LinkParts:
    """What the link works with. ``hello`` makes the hello, ``clocks`` what a heartbeat says of the engine's sources;
    ``config_changed`` hears which version of this engine's settings the platform has."""

    credential: Credential
    http: HttpClient
    hello: Callable[[Resume], Hello]
    clocks: Callable[[], Clocks]
    latch_keeper: Keeper
    settings_keeper: Keeper
    config_changed: Callable[[int], None]


class Link(Actor):
    """One session over any number of connections; a new incarnation of the actor begins a new session."""

    def __init__(self, *, parts: LinkParts, desk: Desk, halting: Halting) -> None:
        self._parts = parts
        self._desk = desk
        self._halting = halting

    async def started(self) -> None:
        parts, desk = self._parts, self._desk
        conversation = Conversation(
            Parts(
                credential=parts.credential,
                clock=desk.clock,
                outlet=desk.outlet,
                gate=desk.gate,
                lease=desk.lease,
                halting=self._halting,
                latch_keeper=parts.latch_keeper,
                settings_keeper=parts.settings_keeper,
                hello=parts.hello,
                clocks=parts.clocks,
                parameters=self._update,
                config_changed=parts.config_changed,
                log=self.context.log,
            )
        )
        self.context.spawn(TrioDriver(conversation, http=parts.http, clock=desk.clock).run)

    def _update(self, update: ParameterUpdate, done: Done) -> None:
        self.context.spawn(self._apply, update, done, name="parameters")

    async def _apply(self, update: ParameterUpdate, done: Done) -> None:
        """The strategy takes it between two ticks and answers by itself."""
        outlet = self._desk.outlet
        try:
            strategy = self.context.find(f"strategies/{update.strategy_id}")
            await strategy.ask(ApplyParameters(update=update), timeout=_PARAMETER_TIMEOUT)
        except UnknownActor:
            outlet.send(refusal(update, "error_unknown_strategy", "this engine has no such strategy"))
        except Failure as error:
            words = f"the strategy did not answer: {type(error).__name__}"
            outlet.send(refusal(update, "error_strategy_busy", words))
        self._parts.settings_keeper.changed()
        done()
