"""What a person changed while the engine ran, kept over restarts: parameters, their versions, who is paused, who has to
keep to small orders for a while, and what follows when the platform stays away.

A request that was executed is remembered with its answer for a day, so that a repeated one is answered and not
executed again.
"""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from wire.codec import structure, unstructure
from wire.errors import WireError
from wire.messages import ParameterResult
from wire.parts import LeaseExpiry
from wire.sdk.latch import write_durably

_REMEMBER = timedelta(hours=24)


@attrs.frozen(kw_only=True)
class Tuned:
    """The parameters in force for one strategy; ``version`` 0: as the configuration file says."""

    parameters: dict[str, int | float]
    version: int


@attrs.frozen(kw_only=True)
class Executed:
    at: datetime
    result: ParameterResult


@attrs.frozen(kw_only=True)
class KeptReduction:
    """Small orders only, until then, in won."""

    until: datetime
    max_order_value: int


class Settings:
    """One small file, replaced as a whole. ``save`` blocks and raises OSError; the rest is memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.tuned: dict[str, Tuned] = {}
        self.paused: set[str] = set()
        self.paused_by_hand: set[str] = set()
        self.reduced: dict[str, KeptReduction] = {}
        self.executed: dict[str, Executed] = {}
        self.on_lease_expiry: LeaseExpiry | None = None  # None: the usual one, or none at all

    def load(self) -> bool:
        """False when there was a file that could not be read; then the configuration's values count, who was paused is
        not known, and the platform's wish for its absence is taken to be the usual one."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return True
        try:
            self._take(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError, WireError):
            self.on_lease_expiry = LeaseExpiry()
            return False
        return True

    def pause_by_hand(self, strategies: Iterable[str]) -> None:
        """As if a person had paused them: only a person's resume lets them go on."""
        strategies = set(strategies)
        self.paused |= strategies
        self.paused_by_hand |= strategies

    def answered(self, request_id: str) -> ParameterResult | None:
        known = self.executed.get(request_id)
        return known.result if known is not None else None

    def remember(self, result: ParameterResult, at: datetime) -> None:
        self.executed = {k: e for k, e in self.executed.items() if at - e.at < _REMEMBER}
        self.executed[result.request_id] = Executed(at=at, result=result)

    def encode(self) -> bytes:
        plain = {
            "tuned": {k: {"parameters": t.parameters, "version": t.version} for k, t in self.tuned.items()},
            "paused": sorted(self.paused),
            "paused_by_hand": sorted(self.paused_by_hand),
            "reduced": {
                k: {"until": r.until.isoformat(), "max_order_value": r.max_order_value} for k, r in self.reduced.items()
            },
            "on_lease_expiry": None if self.on_lease_expiry is None else unstructure(self.on_lease_expiry),
            "executed": {
                k: {"at": e.at.isoformat(), "result": unstructure(e.result)} for k, e in self.executed.items()
            },
        }
        return json.dumps(plain).encode()

    def write(self, data: bytes) -> None:
        """Blocking, for a thread."""
        write_durably(self._path, data)

    def _take(self, plain: dict[str, Any]) -> None:
        self.tuned = {
            k: Tuned(parameters=dict(t["parameters"]), version=t["version"]) for k, t in plain["tuned"].items()
        }
        self.paused = set(plain["paused"])
        self.paused_by_hand = set(plain.get("paused_by_hand", ()))
        self.reduced = {
            k: KeptReduction(until=datetime.fromisoformat(r["until"]), max_order_value=int(r["max_order_value"]))
            for k, r in plain.get("reduced", {}).items()
        }
        policy = plain.get("on_lease_expiry")
        self.on_lease_expiry = None if policy is None else structure(policy, LeaseExpiry)
        self.executed = {
            k: Executed(at=datetime.fromisoformat(e["at"]), result=structure(e["result"], ParameterResult))
            for k, e in plain["executed"].items()
        }
