"""What an engine tells the platform, in its own values. Everything is checked before anything is spooled: every method
raises InvalidField, naming the field."""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psutil

from wire.messages import ErrorReport, Fill, HealthUpdate, OrderUpdate, TradeLog
from wire.parts import Clocks
from wire.sdk.clock import Clock
from wire.sdk.gate import Gate
from wire.sdk.outlet import Outlet, new_id
from wire.sdk.speech import checked, word_of
from wire.sdk.strategies import Strategies
from wire.values import BrokerToken, ErrorCategory, LogCategory, OrderStatus, ProcessStatus, Severity, Side


class Telling:
    """``filled`` hears of every execution before it is spooled."""

    def __init__(
        self, *, outlet: Outlet, clock: Clock, gate: Gate, strategies: Strategies, filled: Callable[[float], None]
    ) -> None:
        self._outlet = outlet
        self._clock = clock
        self._gate = gate
        self._strategies = strategies
        self._filled = filled
        self._process = psutil.Process(os.getpid())
        self._process.cpu_percent()
        self._market_data_at: float | None = None
        self._broker_token = BrokerToken.NONE

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
        """One line of the engine's story; its durable id. A Trade says why."""
        return self._spool(
            checked(
                TradeLog,
                id=log_id or new_id(),
                category=category,
                message=message,
                timestamp=timestamp or self._clock.wall(),
                reason=reason,
                strategy_id=strategy_id,
                symbol=symbol,
                order_id=order_id,
                severity=severity,
            )
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
        fill = checked(
            Fill,
            id=fill_id or new_id(),
            order_id=order_id,
            strategy_id=strategy_id,
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=price,
            fee=fee,
            tax=tax,
            at=at or self._clock.wall(),
        )
        self._filled(self._clock.now())
        return self._spool(fill)

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
        return self._spool(
            checked(
                OrderUpdate,
                order_id=order_id,
                broker_order_id=broker_order_id,
                strategy_id=strategy_id,
                symbol=symbol,
                side=side,
                quantity=quantity,
                price=price,
                status=status,
                filled=filled,
                reason=reason,
            )
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
        return self._spool(
            checked(ErrorReport, code=code, category=category, reason=reason, severity=severity, degraded=degraded)
        )

    def health(
        self,
        *,
        cpu_usage: float | None = None,
        memory_usage: float | None = None,
        process_status: ProcessStatus | str | None = None,
    ) -> None:
        """How the process does, measured where it is not given. CPU: percent of one core."""
        status = process_status or (ProcessStatus.RUNNING if self._gate.synced else ProcessStatus.DEGRADED)
        update = checked(
            HealthUpdate,
            cpu_usage=round(self._process.cpu_percent(), 1) if cpu_usage is None else cpu_usage,
            memory_usage=round(self._process.memory_percent(), 2) if memory_usage is None else memory_usage,
            process_status=status,
            engine_count=1,
            active_strategies=self._strategies.active,
            last_update=self._clock.wall(),
        )
        self._outlet.send(update)

    def market_data_seen(self) -> None:
        """Market data arrived just now; heartbeats tell its age."""
        self._market_data_at = self._clock.now()

    def broker_token(self, state: BrokerToken | str) -> None:
        self._broker_token = word_of(BrokerToken, state, field="broker_token")

    def warn(self, words: str) -> None:
        """A line about the engine itself."""
        self.trade_log(LogCategory.SYSTEM, words, severity=Severity.WARNING)

    def _spool(self, message: Any) -> str:
        spooled = self._outlet.send(message)
        return spooled or ""

    def clocks(self, answered_at: float | None) -> Clocks:
        """What a heartbeat says of the engine's sources."""
        now = self._clock.now()
        return Clocks(
            market_data_age_ms=_age_ms(now, self._market_data_at),
            order_channel_age_ms=_age_ms(now, answered_at),
            broker_token=self._broker_token,
        )


def _age_ms(now: float, at: float | None) -> int | None:
    return None if at is None else max(0, int((now - at) * 1000))
