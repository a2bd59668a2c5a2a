"""What an engine's end of the link needs, for any engine: stops, latch, lease, gate, spool and session.

``wire.sdk.EngineLink`` is for engines on trio, ``wire.sdk.aio.EngineLink`` for asyncio and
``wire.sdk.threads.EngineLink`` for synchronous ones. They have the same methods and words, and decide nothing:
everything is decided in ``wire.sdk.engine`` and below, without any input or output.
"""

from typing import TYPE_CHECKING, Any

from wire.errors import InvalidField
from wire.parts import ParameterSpec
from wire.sdk.account import Position, Reading, WorkingAtBroker
from wire.sdk.engine import Freeze
from wire.sdk.errors import ConfigurationError, EngineError, GateClosed, InvalidParameters, PlatformAway, Unwelcome
from wire.sdk.flattening import MarketPhase, SymbolState
from wire.sdk.platform import PlatformConfig
from wire.sdk.stop_run import WorkingOrder
from wire.sdk.stopping import CloseOut
from wire.sdk.syncing import Fsync
from wire.stops import Level, Scope

if TYPE_CHECKING:
    from wire.sdk.trio_link import EngineLink

__all__ = [
    "CloseOut",
    "ConfigurationError",
    "EngineError",
    "EngineLink",
    "Freeze",
    "Fsync",
    "GateClosed",
    "InvalidField",
    "InvalidParameters",
    "Level",
    "MarketPhase",
    "ParameterSpec",
    "PlatformAway",
    "PlatformConfig",
    "Position",
    "Reading",
    "Scope",
    "SymbolState",
    "Unwelcome",
    "WorkingAtBroker",
    "WorkingOrder",
]


def __getattr__(name: str) -> Any:
    """An asyncio engine has no use for trio: it is imported only by those who ask for its link."""
    if name == "EngineLink":
        from wire.sdk.trio_link import EngineLink

        return EngineLink
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
