"""What messages are made of: bounded numbers and texts, and the words that a field may hold."""

from decimal import Decimal
from enum import Enum
from typing import Annotated

from wire.schema import C
from wire.stops import SYMBOL

MAX_FRAME_BYTES = 256 * 1024
MAX_DEPTH = 16

Won = Annotated[int, C(unit="won", ge=-(2**53), le=2**53)]
Price = Annotated[int, C(unit="won", ge=0, le=10**12)]
Shares = Annotated[int, C(unit="shares", ge=0, le=10**12)]
SignedShares = Annotated[int, C(unit="shares", ge=-(10**12), le=10**12)]
AveragePrice = Annotated[Decimal, C(unit="won", ge=0, decimal_places=4)]
Millis = Annotated[int, C(unit="ms", ge=0, le=2**53)]
Count = Annotated[int, C(ge=0, le=2**53)]
Sequence = Annotated[int, C(ge=0, le=2**53)]
Percent = Annotated[float, C(unit="percent", ge=0)]
Text = Annotated[str, C(max_length=2000)]
Name = Annotated[str, C(min_length=1, max_length=200)]
Symbol = Annotated[str, C(pattern=SYMBOL)]
DurableId = Annotated[str, C(pattern=r"[\x21-\x7e]{1,64}")]
ErrorCode = Annotated[str, C(pattern=r"error_[a-z0-9_]+")]
ParameterKey = Annotated[str, C(pattern=r"[a-z][A-Za-z0-9]{0,63}")]
Parameters = Annotated[dict[ParameterKey, int | float], C(max_length=100)]
Secret = Annotated[str, C(secret=True, min_length=1, max_length=4096)]


class TradingMode(Enum):
    PAPER = "paper"
    LIVE = "live"


class LatchState(Enum):
    PRESENT = "present"
    ABSENT = "absent"
    CORRUPT = "corrupt"


class BrokerToken(Enum):
    OK = "ok"
    EXPIRING = "expiring"
    INVALID = "invalid"
    NONE = "none"


class ProcessStatus(Enum):
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    ERROR = "error"


class EngineState(Enum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERROR = "error"


class StrategyState(Enum):
    """Exactly these three (property 2). Whether a stop holds the strategy is said by ``TradingState``."""

    ACTIVE = "active"
    PAUSED = "paused"
    ERROR = "error"


class TradingState(Enum):
    NORMAL = "NORMAL"
    REDUCE_ONLY = "REDUCE_ONLY"
    HALTED = "HALTED"


class LogCategory(Enum):
    SYSTEM = "System"
    STRATEGY = "Strategy"
    TRADE = "Trade"


class Severity(Enum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class ErrorCategory(Enum):
    BROKER = "broker"
    STRATEGY = "strategy"
    RISK = "risk"
    DATA = "data"
    SYSTEM = "system"
    LINK = "link"


class Side(Enum):
    BUY = "buy"
    SELL = "sell"


class OrderStatus(Enum):
    """UNKNOWN: the broker's answer was lost and reconciliation has not yet told."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class StopPhase(Enum):
    """Where an engine stands with a stop. "sent", "received", "frozen" and "verified" never stand for each other."""

    PENDING = "pending"
    SENT = "sent"
    RECEIVED = "received"
    FROZEN = "frozen"
    CANCELLED = "cancelled"
    FLATTENED = "flattened"
    VERIFIED = "verified"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    SUPERSEDED = "superseded"
    RELEASED = "released"


class Flatness(Enum):
    """From the broker's own view. A failed, missing or unsynced read is UNKNOWN, never FLAT."""

    FLAT = "FLAT"
    NOT_FLAT = "NOT_FLAT"
    UNKNOWN = "UNKNOWN"


class LocalStopCause(Enum):
    SENTINEL = "sentinel"
    RISK = "risk"
    LEASE_EXPIRED = "lease_expired"
    OPERATOR = "operator"


class StrategyAction(Enum):
    """Pause: no order of the strategy leaves any more. Resume: it may trade again, as far as stops and lease allow."""

    PAUSE = "pause"
    RESUME = "resume"


class ResultStatus(Enum):
    APPLIED = "applied"
    FAILED = "failed"


class GapCause(Enum):
    CONFLATED = "conflated"
    RELEASED = "released"
    EXPIRED = "expired"
    LOST = "lost"


class Loosens(Enum):
    """Which direction of change takes more risk, so that it needs the risk role."""

    UP = "up"
    DOWN = "down"
    NEVER = "never"
