"""What an engine's author sees: the same methods and words over every driver."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from wire.parts import ParameterSpec
from wire.sdk.clock import Clock
from wire.sdk.configuring import OnConfig
from wire.sdk.engine import Engine, OnFreeze, Options
from wire.sdk.errors import ConfigurationError, GateClosed
from wire.sdk.executor import Handler
from wire.sdk.parameters import Values
from wire.sdk.platform import Credential, read_credential
from wire.sdk.strategies import Apply
from wire.sdk.syncing import Fsync
from wire.session import SessionStatistics
from wire.stops import Level
from wire.values import (
    BrokerToken,
    ErrorCategory,
    LocalStopCause,
    LogCategory,
    OrderStatus,
    ProcessStatus,
    Severity,
    Side,
    TradingMode,
)

P = ParamSpec("P")
R = TypeVar("R")


class Face:
    """``credential``: the file of ``engines add``. ``folder``: where this engine's state outlives its process; latch,
    settings and outbox are in it, and a file STOP in it stops the engine. Raises ConfigurationError with one line that
    says what to do.

    The methods before "the running link" are called before it is opened, the others while it is.
    """

    def __init__(
        self,
        credential: Path | str | Credential,
        folder: Path | str,
        *,
        name: str,
        version: str = "0",
        trading_mode: TradingMode | str = TradingMode.PAPER,
        brokerages: tuple[str, ...] = (),
        fsync: Fsync | str = Fsync.INTERVAL,
        read_every: float = 5.0,
        health_every: float | None = 1.0,
        clock: Clock | None = None,
    ) -> None:
        known = credential if isinstance(credential, Credential) else read_credential(Path(credential))
        options = Options(
            name=name,
            version=version,
            trading_mode=TradingMode(trading_mode),
            brokerages=brokerages,
            fsync=Fsync(fsync),
            read_every=read_every,
            health_every=health_every,
        )
        self._engine = Engine(known, Path(folder), options, clock=clock)

    def _call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Every call to the running engine goes through here."""
        return fn(*args, **kwargs)

    def _running(self) -> Engine:
        if not self._engine.is_open:
            raise ConfigurationError("the link is not open: use it inside its `with` block")
        return self._engine

    # --- before it is opened ---

    def strategy(
        self,
        strategy_id: str,
        *,
        name: str,
        schema: Mapping[str, ParameterSpec] | None = None,
        parameters: Values | None = None,
        symbols: tuple[str, ...] = (),
        apply: Apply | None = None,
    ) -> None:
        """A strategy that trades here. ``apply`` takes the whole set of new values, already inside the schema, and
        returns what is in force then; without it ``parameters(strategy_id)`` simply gives the new ones."""
        self._engine.add_strategy(
            strategy_id, name=name, schema=schema or {}, parameters=parameters or {}, symbols=symbols, apply=apply
        )

    def broker(
        self,
        *,
        read_account: Handler | None = None,
        cancel_all: Handler | None = None,
        flatten: Handler | None = None,
        look: Handler | None = None,
        reconcile: Handler | None = None,
    ) -> None:
        """How stops reach the broker. ``read_account() -> Reading`` · ``cancel_all(orders)`` · ``flatten(closings)`` ·
        ``look(symbol) -> SymbolState | None`` · ``reconcile()``: returns when the books agree, else raises.

        What is missing is reported as failed and UNKNOWN when a stop asks for it, never as done.
        """
        handlers = self._engine.handlers
        handlers.read_account, handlers.cancel_all, handlers.flatten = read_account, cancel_all, flatten
        handlers.look, handlers.reconcile = look, reconcile

    def on_freeze(self, callback: OnFreeze) -> None:
        """Called in the very step in which the gate closes: end whatever makes orders by itself. It must not wait."""
        self._engine.on_freeze(callback)

    def on_config(self, handler: OnConfig) -> None:
        """Called with the platform's configuration at the first welcome and whenever it changed."""
        self._engine.on_config(handler)

    # --- the running link: orders ---

    def check(
        self,
        order_id: str,
        *,
        symbol: str,
        side: Side | str,
        quantity: int,
        strategy_id: str | None = None,
        closing: bool = False,
        price: int | None = None,
    ) -> None:
        """The last step before an order's bytes leave: counts it as in flight, or raises GateClosed. Whatever waits (a
        throttle, a pool, a token) comes before it.

        ``closing``: an order that ``flatten`` was asked for. ``price``: won a share (at market the last price), which
        values the order in the first minutes after a release with reduced limits; without it only reducing ones leave.
        """
        self._call(
            self._running().orders.check,
            order_id,
            symbol=symbol,
            side=side,
            quantity=quantity,
            strategy_id=strategy_id,
            closing=closing,
            price=price,
        )

    def check_cancel(self, order_id: str, *, symbol: str, strategy_id: str | None = None) -> None:
        """The same for a cancel; it is settled as ``<order_id>/cancel``."""
        self._call(self._running().orders.check_cancel, order_id, symbol=symbol, strategy_id=strategy_id)

    def settle(self, order_id: str) -> None:
        """The broker has answered the request."""
        self._call(self._running().orders.settle, order_id)

    def lost(self, order_id: str) -> None:
        """The broker's answer did not come; a later read of the account tells. Never send it again."""
        self._call(self._running().orders.lost, order_id)

    @contextmanager
    def sending(
        self,
        order_id: str,
        *,
        symbol: str,
        side: Side | str,
        quantity: int,
        strategy_id: str | None = None,
        closing: bool = False,
        price: int | None = None,
    ) -> Iterator[None]:
        """``check``, then ``settle`` when the block ends, or ``lost`` when it ends by an exception."""
        self.check(
            order_id,
            symbol=symbol,
            side=side,
            quantity=quantity,
            strategy_id=strategy_id,
            closing=closing,
            price=price,
        )
        with self._answered(order_id):
            yield

    @contextmanager
    def cancelling(self, order_id: str, *, symbol: str, strategy_id: str | None = None) -> Iterator[None]:
        """The same around a cancel."""
        self.check_cancel(order_id, symbol=symbol, strategy_id=strategy_id)
        with self._answered(f"{order_id}/cancel"):
            yield

    @contextmanager
    def _answered(self, order_id: str) -> Iterator[None]:
        try:
            yield
        except GateClosed:
            self.settle(order_id)  # refused further down: nothing was written
            raise
        except BaseException:
            self.lost(order_id)
            raise
        self.settle(order_id)

    def why_closed(self, strategy_id: str | None = None, symbol: str | None = None) -> str | None:
        """Why an order could not leave now, for a person; None when it could. Only ``check`` decides."""
        return self._call(self._running().orders.why_closed, strategy_id, symbol)

    def level(self, strategy_id: str | None = None, symbol: str | None = None) -> Level:
        """The maximum over the open stops that cover this."""
        return self._call(self._running().orders.level, strategy_id, symbol)

    def doubts(self) -> int:
        """How often the books have been doubted so far; asked for before they are compared with the broker."""
        return self._call(lambda: self._running().orders.doubts)

    def reconciled(self, doubts: int | None = None) -> None:
        """For engines without ``read_account`` and ``reconcile``: the books agree with the broker. To be said at the
        start and again after every expiry of the lease; before it nothing leaves. With the ``doubts`` from before the
        comparison, one that an expiry overtook changes nothing; without them it is taken to be of this moment."""
        self._call(self._running().orders.reconciled, doubts)

    def out_of_sync(self) -> None:
        """The books may be wrong: nothing leaves before they were compared again."""
        self._call(self._running().orders.out_of_sync)

    def stop(self, level: Level | str, reason: str, *, cause: LocalStopCause | str = LocalStopCause.RISK) -> str:
        """The engine stops itself and says so; the stop's id. Only a person's release ends it."""
        return self._call(self._running().stop, level, reason, cause=cause)

    # --- the running link: telling. InvalidField names the field, before anything is spooled ---

    def trade_log(
        self,
        category: LogCategory | str,
        message: str,
        *,
        reason: str | None = None,
        strategy_id: str | None = None,
        symbol: str | None = None,
        order_id: str | None = None,
        severity: Severity | str | None = None,
        timestamp: datetime | None = None,
        log_id: str | None = None,
    ) -> str:
        """One line of the engine's story; its durable id. A ``Trade`` says why."""
        return self._call(
            self._running().telling.trade_log,
            category,
            message,
            reason=reason,
            strategy_id=strategy_id,
            symbol=symbol,
            order_id=order_id,
            severity=severity,
            timestamp=timestamp,
            log_id=log_id,
        )

    def fill(
        self,
        order_id: str,
        *,
        strategy_id: str,
        symbol: str,
        side: Side | str,
        quantity: int,
        price: int,
        fee: int = 0,
        tax: int = 0,
        at: datetime | None = None,
        fill_id: str | None = None,
    ) -> str:
        """An execution. With the broker's own ``fill_id`` one told twice is counted once."""
        return self._call(
            self._running().telling.fill,
            order_id,
            strategy_id=strategy_id,
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=price,
            fee=fee,
            tax=tax,
            at=at,
            fill_id=fill_id,
        )

    def order_update(
        self,
        order_id: str,
        *,
        strategy_id: str,
        symbol: str,
        side: Side | str,
        quantity: int,
        status: OrderStatus | str,
        price: int = 0,
        filled: int = 0,
        broker_order_id: str = "",
        reason: str | None = None,
    ) -> str:
        """Where an order stands."""
        return self._call(
            self._running().telling.order_update,
            order_id,
            strategy_id=strategy_id,
            symbol=symbol,
            side=side,
            quantity=quantity,
            status=status,
            price=price,
            filled=filled,
            broker_order_id=broker_order_id,
            reason=reason,
        )

    def error(
        self,
        code: str,
        *,
        category: ErrorCategory | str,
        reason: str,
        severity: Severity | str = Severity.ERROR,
        degraded: bool = False,
    ) -> str:
        """Something went wrong that a person should know."""
        return self._call(
            self._running().telling.error, code, category=category, reason=reason, severity=severity, degraded=degraded
        )

    def health(
        self,
        *,
        cpu_usage: float | None = None,
        memory_usage: float | None = None,
        process_status: ProcessStatus | str | None = None,
    ) -> None:
        """How the process does, measured where it is not given. Said by itself every ``health_every`` seconds."""
        self._call(
            self._running().telling.health,
            cpu_usage=cpu_usage,
            memory_usage=memory_usage,
            process_status=process_status,
        )

    def market_data_seen(self) -> None:
        """Market data arrived just now; heartbeats tell its age."""
        self._call(self._running().telling.market_data_seen)

    def broker_token(self, state: BrokerToken | str) -> None:
        """How the broker's token does: ok, expiring, invalid or none."""
        self._call(self._running().telling.broker_token, state)

    # --- the running link: looking ---

    def parameters(self, strategy_id: str) -> dict[str, int | float]:
        """What is in force for a strategy now. KeyError for one that is not there."""
        return self._call(self._engine.parameters, strategy_id)

    def statistics(self) -> SessionStatistics:
        return self._call(self._running().conversation.statistics)
