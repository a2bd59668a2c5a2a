"""Which engines a stop concerns, and what may be asked of them. Known is every enrolled engine, connected or not."""

from collections.abc import Iterable

import attrs

from actors.requests import Refusal
from actors.stops.run import named
from wire.rest.stops import StopRequest
from wire.stops import Level, Scope, ScopeKind
from wire.values import TradingMode

NONE = frozenset[str]()


@attrs.frozen(kw_only=True)
class KnownEngine:
    """``account_id`` None: not known while the roster cannot be read; such an engine is under every account's stop."""

    account_id: str | None
    mode: TradingMode | None = None
    strategies: frozenset[str] | None = None
    capabilities: frozenset[str] = NONE


class Roster:
    """The engines as the stop coordinator knows them. ``is_complete``: the database or its local copy was read."""

    def __init__(self) -> None:
        self.engines: dict[str, KnownEngine] = {}
        self.is_complete = False

    def add(self, engine_id: str, account_id: str) -> None:
        known = self.engines.get(engine_id)
        self.engines[engine_id] = (
            attrs.evolve(known, account_id=account_id) if known else KnownEngine(account_id=account_id)
        )

    def remove(self, engine_id: str) -> None:
        self.engines.pop(engine_id, None)

    def heard(
        self,
        engine_id: str,
        mode: TradingMode | None,
        strategies: Iterable[str] | None,
        capabilities: Iterable[str] = (),
    ) -> None:
        """What the engine said of itself in its hello."""
        known = self.engines.get(engine_id) or KnownEngine(account_id=None)
        held = None if strategies is None else frozenset(strategies) or NONE
        self.engines[engine_id] = attrs.evolve(
            known, mode=mode, strategies=held, capabilities=frozenset(capabilities) or NONE
        )

    def account(self, engine_id: str) -> str | None:
        known = self.engines.get(engine_id)
        return known.account_id if known else None

    def incapable(self, capability: str, engine_ids: Iterable[str]) -> list[str]:
        """Those of the engines that did not name the capability in their last hello."""
        nothing = KnownEngine(account_id=None)
        return [e for e in engine_ids if capability not in self.engines.get(e, nothing).capabilities]

    def concerned(self, scope: Scope) -> list[str]:
        return sorted(e for e, known in self.engines.items() if scope.concerns(e, known.account_id))

    def refuse_unknown(self, scope: Scope) -> Refusal | None:
        if not self.is_complete:
            return None
        engine = scope.engine or (scope.name if scope.kind is ScopeKind.ENGINE else None)
        if engine is not None and engine not in self.engines:
            return Refusal(
                status=404, error="error_unknown_engine", reason=f"there is no engine {engine}", field="scope"
            )
        accounts = {e.account_id for e in self.engines.values()}
        if scope.kind is ScopeKind.ACCOUNT and scope.name not in accounts and None not in accounts:
            reason = f"no engine trades account {scope.name}"
            return Refusal(status=404, error="error_unknown_account", reason=reason, field="scope")
        if scope.kind is ScopeKind.STRATEGY and engine is not None:
            strategies = self.engines[engine].strategies
            if strategies is not None and scope.name not in strategies:
                reason = f"{engine} has no strategy {scope.name}"
                return Refusal(status=404, error="error_unknown_strategy", reason=reason, field="scope")
        return None

    def refuse_drill(self, request: StopRequest) -> Refusal | None:
        if not request.drill or request.level <= Level.HALT:
            return None
        live = [e for e in self.concerned(request.scope) if self.engines[e].mode is not TradingMode.PAPER]
        if not live:
            return None
        reason = f"a drill above HALT needs every engine in paper mode; not so: {named(sorted(live))}"
        return Refusal(status=422, error="error_drill_level", reason=reason, field="level")
