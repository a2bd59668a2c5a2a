"""A small platform that speaks the contract's REST and UI link, and a real Chromium that looks at it.

Items are made with the platform's own message classes, so what the dashboard understands here is what it gets. The
server runs in a thread with its own trio loop; ``desk.call(fn, ...)`` acts inside it.
"""

import asyncio
import json
import os
import re
import secrets
import shutil
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request, websocket
from quart_trio import QuartTrio

from wire.codec import unstructure
from wire.parts import ParameterSpec
from wire.rest.engines import Connection as Link
from wire.rest.engines import (
    EngineHealthDetail,
    EngineStatus,
    HealthClocks,
    OpenStop,
    StrategyStatus,
    SystemHealthMetrics,
)
from wire.rest.records import Alert
from wire.rest.settings import BrokerageAccount, BrokerageType, RiskLimits, SecretState, SystemPreferences, UserSettings
from wire.rest.stops import EmergencyStopResult, Stop
from wire.rest.strategies import UpdateResult
from wire.stops import Level, Scope
from wire.values import Loosens

STATIC = Path(__file__).parents[2] / "actors" / "web" / "static"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
PASSWORD = "correct horse"
PATIENCE_MS = 60_000
"""For what must come: many times what it takes, on a machine that does much else."""
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
SCHEMA = {
    "takeProfitPercent": ParameterSpec(
        type="number", minimum=0.5, maximum=20, step=0.1, unit="%", title="Take profit", loosens=Loosens.UP
    ),
    "stopLossPercent": ParameterSpec(
        type="number", minimum=0.5, maximum=10, step=0.1, unit="%", title="Stop loss", loosens=Loosens.UP
    ),
    "maxPositionSize": ParameterSpec(
        type="integer",
        minimum=0,
        maximum=50_000_000,
        step=100_000,
        unit="원",
        title="Maximum position",
        loosens=Loosens.UP,
    ),
    "riskPerTrade": ParameterSpec(
        type="number", minimum=0.1, maximum=2, step=0.1, unit="%", title="Risk per trade", loosens=Loosens.UP
    ),
}
VALUES = {"takeProfitPercent": 4.0, "stopLossPercent": 2.0, "maxPositionSize": 10_000_000, "riskPerTrade": 0.5}
FINAL = {"verified", "failed", "timed_out", "unreachable", "superseded", "released"}


def now() -> datetime:
    return datetime.now(UTC)


def plain(item):
    return unstructure(item, nulls=True)


class Desk:
    """The platform's state, and the means to change or break it from a test."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.epoch = secrets.token_hex(4)
        self.offsets = dict.fromkeys(
            ("engines", "strategies", "health", "system", "stops", "alerts", "parameters", "trades"), 0
        )
        self.items = {topic: {} for topic in self.offsets}
        self.sent = {topic: [] for topic in self.offsets}
        self.sockets: set[trio.MemorySendChannel] = set()
        self.mute = False
        self.refuse_stop = self.no_preview = False
        self.releases, self.total = {}, {}
        self.letters: dict[str, dict] = {}
        self.command_status = "applied"
        self.role = "admin"
        self.token_seconds = 900
        self.engine_is_slow = False
        self.session_over = False
        self.requests: list[tuple[str, str, dict, dict]] = []
        self.versions: dict[tuple[str, str], tuple[int, dict]] = {}
        self.answer_parameters = "applied"
        self.validation_ok = True
        self.stop_epoch = 40
        self.settings = UserSettings(
            id="desk",
            user_id="admin",
            brokerage_accounts=[
                BrokerageAccount(
                    id="acc-main",
                    name="주 계좌",
                    type=BrokerageType.KIS,
                    api_key=SecretState(set=True, fingerprint="3f0cbb91a91f", updated_at=now() - timedelta(days=3)),
                    api_secret=SecretState(set=True, fingerprint="77d2e0c4be02", updated_at=now() - timedelta(days=3)),
                    account_number="50112233-01",
                    is_active=True,
                    last_validated=now() - timedelta(hours=5),
                )
            ],
            system_preferences=SystemPreferences(),
            risk_limits=RiskLimits(),
            created_at=now() - timedelta(days=30),
            updated_at=now() - timedelta(days=3),
            config_version=7,
        )

    # --- what a test may do ---------------------------------------------------------------------------------------

    def publish(self, topic: str, key: str, item) -> None:
        """Shows an item to every connected page; ``item`` is a message class or, to be malformed, plain values."""
        value = item if isinstance(item, dict) else plain(item)
        self.offsets[topic] += 1
        self.items[topic][key] = value
        self.tell("delta", {"topic": topic, "offset": self.offsets[topic], "items": [value]})

    def publish_many(self, topic: str, items: list[dict]) -> None:
        self.offsets[topic] += len(items)
        for item in items:
            self.items[topic][f"{item.get('engine_id')}/{item.get('id')}"] = item
        self.tell("delta", {"topic": topic, "offset": self.offsets[topic], "items": items})

    def tell(self, kind: str, payload: dict) -> None:
        if self.mute:
            return
        for channel in list(self.sockets):
            channel.send_nowait(envelope(kind, payload))

    def drop_links(self) -> None:
        for channel in list(self.sockets):
            channel.close()

    def engine(self, engine_id: str, **changes) -> EngineStatus:
        base = EngineStatus(
            engine_id=engine_id,
            name=changes.pop("name", engine_id),
            status="running",
            connection=Link.CONNECTED,
            trading_mode="paper",
            level=Level.NORMAL,
            stops=[],
            halted_by_lease=False,
            lease_expires_at=now() + timedelta(seconds=13),
            last_heartbeat=now(),
            age_ms=0,
            version="1.4.0",
            account_id=f"acc-{engine_id}",
            strategies=[
                self.strategy(engine_id, "momentum", "모멘텀"),
                self.strategy(engine_id, "pairs", "페어", "paused"),
            ],
            positions=3,
            open_orders=2,
            synced=True,
            equity=184_220_000,
            realized_pnl=1_284_000,
        )
        return enums(attrs.evolve(base, **changes))

    def strategy(
        self, engine_id: str, strategy_id: str, name: str, status: str = "active", **changes
    ) -> StrategyStatus:
        _, values = self.versions.setdefault((engine_id, strategy_id), (1, dict(VALUES)))
        base = StrategyStatus(
            id=strategy_id,
            name=name,
            status=status,
            trading_state="NORMAL",
            parameters=values,
            parameter_schema=SCHEMA,
            version=1,
            engine_id=engine_id,
        )
        return enums(attrs.evolve(base, **changes))

    def health(self, engine_id: str, **changes) -> EngineHealthDetail:
        base = EngineHealthDetail(
            engine_id=engine_id,
            connection=Link.CONNECTED,
            cpu_usage=7.2,
            memory_usage=2.4,
            process_status="running",
            clocks=HealthClocks(
                process_age_ms=900, market_data_age_ms=210, order_channel_age_ms=1400, broker_token="ok"
            ),
            lease_ms_left=13_200,
            skew_ms=-3,
            instance="i-1",
            version="1.4.0",
            last_update=now(),
        )
        return enums(attrs.evolve(base, **changes))

    def system(self, **changes) -> SystemHealthMetrics:
        base = SystemHealthMetrics(
            cpu_usage=11.8,
            memory_usage=36.4,
            process_status="running",
            engine_count=3,
            active_strategies=3,
            last_update=now(),
            engines_connected=3,
            engines_offline=0,
            loop_lag_ms=0.7,
            database="up",
            degraded=[],
            emergency="http://127.0.0.1:8799/",
        )
        return enums(attrs.evolve(base, **changes))

    def populate(self) -> None:
        """Three engines, one of them away, and a little story."""
        self.publish("engines", "alpha", self.engine("alpha", name="알파"))
        self.publish("engines", "beta", self.engine("beta", name="베타", realized_pnl=-412_500, positions=1))
        gone = now() - timedelta(seconds=95)
        away = {"connection": Link.OFFLINE, "status": None, "last_heartbeat": gone, "lease_expires_at": gone}
        self.publish("engines", "gamma", self.engine("gamma", name="감마", trading_mode="live", **away))
        for name in ("alpha", "beta"):
            self.publish("health", name, self.health(name))
        self.publish("health", "gamma", self.health("gamma", connection=Link.OFFLINE, process_status=None))
        self.publish("system", "platform", self.system(engines_connected=2, engines_offline=1))
        self.publish_many("trades", [self.log(i) for i in range(60)])

    def log(self, n: int, **changes) -> dict:
        kinds = (
            ("Strategy", f"005930 신호 계산: 20일선 {71_200 + n * 10:,}원", None),
            ("Trade", f"005930 {10 + n % 5}주 매수 71,800원", "20일선 돌파, 거래량 평균의 2.1배"),
            ("System", "시세 연결 확인, 지연 12 ms", None),
        )
        category, message, reason = kinds[n % 3]
        base = {
            "engine_id": ("alpha", "beta")[n % 2],
            "id": f"log-{n}",
            "category": category,
            "message": message,
            "timestamp": (now() - timedelta(seconds=max(0, 60 - n))).isoformat(),
            "reason": reason,
            "strategy_id": "momentum",
            "symbol": "005930",
            "order_id": None,
            "severity": "info",
        }
        return {**base, **changes}

    def alert(self, alert_id: str, **changes) -> Alert:
        base = Alert(
            id=alert_id,
            code="error_engine_offline",
            severity="error",
            reason="gamma 엔진에서 15초 넘게 소식이 없습니다",
            engine_id="gamma",
            stop_id=None,
            state="open",
            raised_at=now(),
            acknowledged_by=None,
            acknowledged_at=None,
        )
        return enums(attrs.evolve(base, **changes))

    # --- stops ----------------------------------------------------------------------------------------------------

    def take_stop(self, body: dict) -> Stop:
        same = next((s for s in self.items["stops"].values() if s["request_id"] == body.get("request_id")), None)
        if same is not None:
            return same
        self.stop_epoch += 3
        scope, level = body.get("scope", "all"), body.get("level", "FLATTEN")
        results = []
        for engine in self.items["engines"].values():
            if scope in ("all", f"engine:{engine['engine_id']}"):
                reachable = engine["connection"] == "connected"
                results.append(self.result(engine["engine_id"], "pending" if reachable else "unreachable"))
        stop = Stop(
            stop_id=f"stop-{self.stop_epoch}",
            request_id=body.get("request_id") or secrets.token_hex(8),
            epoch=self.stop_epoch,
            scope=Scope.parse(scope),
            level=Level(level),
            user_id="admin",
            reason=body.get("reason", ""),
            requested_at=now(),
            drill=body.get("drill", False),
            delivered=sum(r.phase.value != "unreachable" for r in results),
            engines=len(results),
            durable=True,
            state="running",
            results=results,
        )
        self.show_stop(plain(enums(stop)))
        return self.items["stops"][stop.stop_id]

    def result(self, engine_id: str, phase: str, **changes) -> EmergencyStopResult:
        base = EmergencyStopResult(
            engine_id=engine_id,
            success=phase == "verified",
            phase=phase,
            positions_liquidated=0,
            orders_cancelled=0,
            orders_remaining=2,
            positions_remaining=3,
            flatness="UNKNOWN",
            flatness_as_of=None,
            flatness_reason=None,
            residuals=[],
            ms_to_frozen=None,
            completed_at=None,
            error=None,
        )
        return enums(attrs.evolve(base, **changes))

    def show_stop(self, stop: dict) -> None:
        self.publish("stops", stop["stop_id"], stop)
        opened = [
            OpenStop(
                stop_id=stop["stop_id"],
                scope=Scope.parse(stop["scope"]),
                level=Level(stop["level"]),
                stop_epoch=stop["epoch"],
            )
        ]
        for result in stop["results"]:
            engine = dict(self.items["engines"][result["engine_id"]])
            released = stop["released_at"] is not None
            engine["stops"] = [] if released else [plain(each) for each in opened]
            engine["level"] = "NORMAL" if released else stop["level"]
            self.publish("engines", engine["engine_id"], engine)

    def progress(self, stop_id: str, engine_id: str, phase: str, **changes) -> None:
        """One engine's step; the stop's own state follows from all of them."""
        stop = dict(self.items["stops"][stop_id])
        stop["results"] = [
            {**r, "phase": phase, "success": phase == "verified", **changes} if r["engine_id"] == engine_id else r
            for r in stop["results"]
        ]
        phases = {r["phase"] for r in stop["results"]}
        if phases <= FINAL:
            stop["state"] = "verified" if phases == {"verified"} else "failed" if "failed" in phases else "partial"
        self.show_stop(stop)

    def release_stop(self, stop_id: str) -> None:
        self.show_stop({**self.items["stops"][stop_id], "state": "verified", "released_at": now().isoformat()})


def enums(item):
    """The same item with plain words turned into the enums its class declares."""
    changes = {}
    for field in attrs.fields(type(item)):
        value = getattr(item, field.name)
        kinds = [t for t in (field.type, *getattr(field.type, "__args__", ())) if hasattr(t, "__members__")]
        if isinstance(value, str) and kinds:
            changes[field.name] = kinds[0](value)
        elif attrs.has(type(value)) and type(value) is not Scope:
            changes[field.name] = enums(value)
        elif isinstance(value, list) and value and attrs.has(type(value[0])) and type(value[0]) is not Scope:
            changes[field.name] = [enums(each) for each in value]
    return attrs.evolve(item, **changes)


def envelope(kind: str, payload: dict) -> str:
    return encode_plain({"type": kind, "timestamp": now().isoformat(timespec="milliseconds"), "payload": payload})


def encode_plain(value) -> str:
    return json.dumps(value, ensure_ascii=False)


def application(desk: Desk) -> QuartTrio:
    app = QuartTrio(__name__, static_folder=None)

    def refusal(status: int, error: str, reason: str = "", field: str | None = None):
        return {"error": error, "reason": reason or error, "field": field}, status

    def token():
        user = {"id": "admin", "username": "admin", "role": desk.role}
        return {
            "access_token": f"t.{secrets.token_hex(8)}",
            "expires_in": desk.token_seconds,
            "token_type": "Bearer",
            "user": user,
        }

    @app.before_request
    async def note():
        body = await request.get_json(silent=True) if request.method != "GET" else None
        desk.requests.append((request.method, request.path, dict(request.headers), body or {}))
        open_paths = ("/api/auth/login", "/api/auth/refresh")
        if (
            request.path.startswith("/api")
            and request.path not in open_paths
            and "authorization" not in request.headers
        ):
            return refusal(401, "error_unauthorized")
        if desk.session_over and request.path.startswith("/api") and request.path not in open_paths:
            return refusal(401, "error_token_expired")
        return None

    @app.after_request
    async def headers(response):
        response.headers["content-security-policy"] = CSP
        response.headers["x-content-type-options"] = "nosniff"
        return response

    @app.post("/api/auth/login")
    async def login():
        body = await request.get_json()
        if body.get("password") != PASSWORD:
            return refusal(401, "error_bad_credentials", "wrong name or password")
        desk.session_over = False
        response = await app.make_response(token())
        response.set_cookie("refresh", "r1", httponly=True, samesite="Strict")
        return response

    @app.post("/api/auth/refresh")
    async def refresh():
        if request.cookies.get("refresh") is None or desk.session_over:
            return refusal(401, "error_unauthorized", "no session")
        return token()

    @app.post("/api/auth/logout")
    async def logout():
        response = await app.make_response(({}, 200))
        response.delete_cookie("refresh")
        return response

    @app.post("/api/auth/step-up")
    async def step_up():
        body = await request.get_json()
        return token() if body.get("password") == PASSWORD else refusal(401, "error_bad_credentials")

    @app.get("/api/settings/user")
    async def read_settings():
        return plain(desk.settings), 200, {"etag": f'"{desk.settings.config_version}"'}

    @app.post("/api/settings/user")
    async def save_settings():
        body = await request.get_json()
        if request.headers.get("if-match", "").strip('"') != str(desk.settings.config_version):
            return refusal(412, "error_version_conflict")
        known = {a.id: a for a in desk.settings.brokerage_accounts}
        accounts = []
        for a in body["brokerage_accounts"]:
            old = known.get(a["id"])
            fresh = SecretState(set=True, fingerprint="aa00bb11cc22", updated_at=now())
            keep = {"set": True}
            accounts.append(
                BrokerageAccount(
                    id=a["id"],
                    name=a["name"],
                    type=BrokerageType(a["type"]),
                    account_number=a["account_number"],
                    is_active=a["is_active"],
                    api_key=old.api_key if a["api_key"] == keep else fresh,
                    api_secret=old.api_secret if a["api_secret"] == keep else fresh,
                    last_validated=now(),
                )
            )
        desk.settings = attrs.evolve(
            desk.settings,
            brokerage_accounts=accounts,
            system_preferences=SystemPreferences(**body["system_preferences"]),
            risk_limits=RiskLimits(**body["risk_limits"]),
            config_version=desk.settings.config_version + 1,
        )
        return plain(desk.settings), 200, {"etag": f'"{desk.settings.config_version}"'}

    @app.post("/api/settings/validate")
    async def validate():
        ok = desk.validation_ok
        checks = [
            {"name": "format", "ok": True, "reason": "", "ms": 1},
            {"name": "token", "ok": ok, "reason": "" if ok else "EGW00103: 유효하지 않은 AppKey입니다.", "ms": 212},
        ]
        if ok:
            checks.append({"name": "account", "ok": True, "reason": "", "ms": 148})
        return {"is_valid": ok, "errors": [] if ok else ["앱 키가 거절되었습니다"], "warnings": [], "checks": checks}

    @app.get("/api/dead-letters")
    async def dead_letters():
        return {"items": list(desk.letters.values()), "next": None}

    @app.post("/api/dead-letters/<letter_id>/<what>")
    async def decide_letter(letter_id, what):
        desk.letters[letter_id]["state"] = {"retry": "retried", "discard": "discarded"}[what]
        return desk.letters[letter_id]

    @app.post("/api/stops/preview")
    async def preview():
        if desk.no_preview:
            return refusal(503, "error_overloaded")
        body = await request.get_json()
        rows = [e for e in desk.items["engines"].values() if body["scope"] in ("all", f"engine:{e['engine_id']}")]
        engines = [
            {
                "engine_id": e["engine_id"],
                "orders": e["open_orders"],
                "positions": e["positions"],
                "value": 61_400_000,
                "blocked": [],
                "as_of": now().isoformat(),
                "age_ms": 900,
                "synced": True,
                "connection": e["connection"],
            }
            for e in rows
        ]
        total = {k: sum(e[k] for e in engines) for k in ("orders", "positions", "value")}
        known = {"engines": len(engines), "unknown": 0, "oldest_ms": 900}
        return {"engines": engines, "total": {**total, **known, **desk.total}}

    @app.post("/api/engines/emergency-stop")
    async def emergency_stop():
        if desk.refuse_stop:
            return refusal(403, "error_forbidden", "your role may not stop")
        return desk.take_stop(await request.get_json(silent=True) or {}), 202

    @app.get("/api/stops")
    async def stops():
        return {"items": list(desk.items["stops"].values()), "next": None}

    @app.get("/api/stops/<stop_id>")
    async def stop(stop_id):
        return desk.items["stops"].get(stop_id) or refusal(404, "error_not_found")

    def release_view(stop_id: str, state: str):
        return {
            "id": "rel-1",
            "stop_id": stop_id,
            "state": state,
            "checklist": [
                {"name": "engines_verified", "ok": True, "detail": "3/3"},
                {"name": "no_open_alerts", "ok": True, "detail": ""},
            ],
            "requested_by": "admin",
            "requested_at": now().isoformat(),
            "not_before": (now() + timedelta(seconds=60)).isoformat(),
            "epoch": desk.items["stops"][stop_id]["epoch"],
            "reason": "",
            "waive": [],
            "resume": False,
            "approved_by": None,
            "history": [],
        }

    @app.post("/api/stops/<stop_id>/continue")
    async def go_on(stop_id):
        for row in desk.items["stops"][stop_id]["results"]:
            desk.progress(stop_id, row["engine_id"], row["phase"], error=None)
        return desk.items["stops"][stop_id]

    @app.post("/api/engines/<engine_id>/strategies/<strategy_id>/<action>")
    async def command(engine_id, strategy_id, action):
        done = {
            "status": desk.command_status,
            "strategy_status": None,
            "error": None,
            "reason": "no answer within 10 s",
        }
        if desk.command_status == "applied":
            done["strategy_status"] = "paused" if action == "pause" else "active"
            key = f"{engine_id}/{strategy_id}"
            (known,) = (s for s in desk.items["engines"][engine_id]["strategies"] if s["id"] == strategy_id)
            desk.publish("strategies", key, {**known, "status": done["strategy_status"]})
        return done

    @app.get("/api/stops/<stop_id>/release")
    async def waiting_release(stop_id):
        return desk.releases.get(stop_id) or refusal(404, "error_no_release_requested", "nobody has asked")

    @app.get("/api/stops/<stop_id>/report")
    async def report(stop_id):
        mime = request.headers["Accept"]
        return Response(f"{stop_id} {request.args['lang']}", mimetype=mime)

    def raised_since(stop_id, body):
        epoch = desk.items["stops"][stop_id]["epoch"]
        reason = f"the stop is at epoch {epoch} now: it was raised since you looked"
        return None if body["epoch"] == epoch else refusal(412, "error_epoch", reason, "epoch")

    @app.post("/api/stops/<stop_id>/release")
    async def release(stop_id):
        body = await request.get_json()
        if (refused := raised_since(stop_id, body)) is not None:
            return refused
        waived = {w["engine_id"] for w in body["waive"]}
        left = [
            r
            for r in desk.items["stops"][stop_id]["results"]
            if r["phase"] != "verified" and r["engine_id"] not in waived
        ]
        if left:
            return refusal(409, "error_checklist", f"{left[0]['engine_id']} is not verified")
        desk.releases[stop_id] = {
            **release_view(stop_id, "requested"),
            **{k: body.get(k) for k in ("reason", "waive", "resume", "reduced")},
        }
        return desk.releases[stop_id], 201

    @app.post("/api/stops/<stop_id>/approve")
    async def approve(stop_id):
        if (refused := raised_since(stop_id, await request.get_json())) is not None:
            return refused
        desk.release_stop(stop_id)
        return release_view(stop_id, "released")

    @app.get("/api/engines/<engine_id>/parameters")
    async def parameters(engine_id):
        strategy_id = request.args["strategy_id"]
        version, values = desk.versions[engine_id, strategy_id]
        body = {
            "engine_id": engine_id,
            "strategy_id": strategy_id,
            "version": version,
            "desired": values,
            "effective": values,
            "effective_version": version,
            "parameter_schema": {k: plain(s) for k, s in SCHEMA.items()},
            "updated_at": now().isoformat(),
        }
        return body, 200, {"etag": f'"{version}"'}

    @app.get("/api/engines/<engine_id>/parameters/history")
    async def history(engine_id):
        version, values = desk.versions[engine_id, request.args["strategy_id"]]
        rows = [
            {
                "version": n,
                "parameters": values,
                "status": "applied",
                "user_id": "admin",
                "at": now().isoformat(),
                "request_id": f"r{n}",
                "error": None,
                "reason": None,
            }
            for n in range(1, version + 1)
        ]
        return {"items": rows, "next": None}

    @app.patch("/api/engines/<engine_id>/parameters")
    async def change(engine_id):
        body = await request.get_json()
        key = (engine_id, body["strategy_id"])
        version, values = desk.versions[key]
        if request.headers.get("if-match", "").strip('"') != str(version):
            return refusal(412, "error_version_conflict", "another change came first")
        base = UpdateResult(
            request_id=body["request_id"],
            engine_id=engine_id,
            strategy_id=body["strategy_id"],
            status="pending",
            parameters=values,
            version=version,
            applied_at=None,
            error=None,
            reason=None,
        )
        desk.publish("parameters", base.request_id, enums(base))
        await trio.sleep(0.3)
        while desk.engine_is_slow:  # noqa: ASYNC110 - a test, in another thread, lets it answer
            await trio.sleep(0.02)
        if desk.answer_parameters == "applied":
            values = {**values, **body["parameters"]}
            desk.versions[key] = (version + 1, values)
            done = attrs.evolve(base, status="applied", parameters=values, version=version + 1, applied_at=now())
        else:
            done = attrs.evolve(base, status="failed", error="error_risk_limit", reason="엔진의 위험 한도를 넘습니다")
        desk.publish("parameters", base.request_id, enums(done))
        return plain(enums(done))

    @app.post("/api/alerts/<alert_id>/ack")
    async def acknowledge(alert_id):
        alert = {**desk.items["alerts"][alert_id], "state": "acknowledged", "acknowledged_by": "admin"}
        desk.publish("alerts", alert_id, alert)
        return alert

    @app.websocket("/ws")
    async def link():
        assert "watchkeeper-ui.v1" in websocket.requested_subprotocols
        await websocket.accept(subprotocol="watchkeeper-ui.v1")
        hello = await websocket.receive_json()
        assert hello["type"] == "hello", hello
        assert hello["payload"]["token"], hello
        send, receive = trio.open_memory_channel(100_000)
        topics = [t["topic"] for t in hello["payload"]["topics"] if t["topic"] in desk.offsets]
        states = [{"topic": t, "epoch": desk.epoch, "offset": desk.offsets[t], "recovered": False} for t in topics]
        welcome = {
            "session": "s1",
            "topics": states,
            "bookmark_ms": 2000,
            "offline_ms": 10000,
            "server_time": now().isoformat(),
            "token_expires": (now() + timedelta(seconds=desk.token_seconds)).isoformat(),
        }
        if not desk.mute:
            await websocket.send(envelope("welcome", welcome))
        for topic in topics:
            snapshot = {"topic": topic, "epoch": desk.epoch, "offset": desk.offsets[topic]}
            if not desk.mute:
                await websocket.send(envelope("snapshot", {**snapshot, "items": list(desk.items[topic].values())}))
        desk.sockets.add(send)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_listen, desk, nursery.cancel_scope)
                nursery.start_soon(_beat, desk)
                async for text in receive:
                    await websocket.send(text)
                nursery.cancel_scope.cancel()
        finally:
            desk.sockets.discard(send)

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    async def page(path):
        file = STATIC / path
        if re.fullmatch(r"(assets/)?[\w.-]+\.\w+", path) and file.is_file():
            return file.read_bytes(), 200, {"content-type": TYPES.get(file.suffix, "text/plain")}
        return (STATIC / "index.html").read_bytes(), 200, {"content-type": TYPES[".html"]}

    return app


async def _listen(desk: Desk, scope: trio.CancelScope) -> None:
    try:
        while True:
            message = await websocket.receive_json()
            desk.requests.append(("WS", message["type"], {}, message["payload"]))
    finally:
        scope.cancel()


async def _beat(desk: Desk) -> None:
    n = 0
    while True:
        await trio.sleep(2)
        n += 1
        if not desk.mute:
            beat = {"n": n, "server_time": now().isoformat(), "offsets": dict(desk.offsets)}
            await websocket.send(envelope("bookmark", beat))


class Server:
    """The fake platform in a thread of its own."""

    def __init__(self, port: int = 0) -> None:
        self.desk = Desk()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen(100)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,), daemon=True)

    def start(self) -> "Server":
        self._thread.start()
        assert self._ready.wait(60)
        return self

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._over = trio.Event()
        config = Config()
        config.bind = [f"fd://{self._socket.detach()}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = 0.2
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: serve(application(self.desk), config, shutdown_trigger=self._over.wait))
            self._ready.set()

    def call(self, fn, *args, **kwargs):
        return trio.from_thread.run_sync(lambda: fn(*args, **kwargs), trio_token=self._token)

    def stop(self) -> None:
        self.call(self.desk.drop_links)
        self.call(self._over.set)
        self._thread.join(60)


def chromium() -> str | None:
    names = (os.environ.get("WATCHKEEPER_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser():
    """One Chromium for a module's tests, gone before other tests need this thread's event loop."""
    path = chromium()
    if path is None:
        pytest.skip("SKIPPED, NOT TESTED: no Chromium (set WATCHKEEPER_CHROMIUM to its path)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="SKIPPED, NOT TESTED: no playwright")
    # Where trio_asyncio was imported, new loops of this thread would be its own, which cannot be run in pieces.
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    try:
        with sync_api.sync_playwright() as play:
            chrome = play.chromium.launch(executable_path=path)
            yield chrome
            chrome.close()
    finally:
        asyncio.set_event_loop_policy(None)


@pytest.fixture(scope="session")
def server():
    running = Server().start()
    yield running
    running.stop()


@pytest.fixture
def desk(server):
    """The fake platform with three engines; ``desk.call(desk.state.publish, ...)`` changes it."""
    server.call(server.desk.drop_links)
    server.call(server.desk.reset)
    server.call(server.desk.populate)
    return server


@pytest.fixture
def page(browser, desk):
    """A fresh browser context. Fails the test on any console error or violation of the content security policy."""
    context = browser.new_context(viewport={"width": 1440, "height": 960}, locale="ko-KR", timezone_id="Asia/Seoul")
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    tab.complaints = complaints
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda message: message.type == "error" and _note(complaints, message))
    tab.add_init_script(
        "window.violations = [];"
        "addEventListener('securitypolicyviolation', e => window.violations.push(e.violatedDirective))"
    )
    yield tab
    violations = tab.evaluate("window.violations ?? []")
    context.close()
    assert violations == []
    assert complaints == []


def _note(complaints: list[str], message) -> None:
    """The browser itself reports every refused request and lost socket as an error; those are the tests' own doing."""
    if not re.search(r"Failed to load resource|WebSocket connection to", message.text):
        complaints.append(message.text)


@pytest.fixture
def signed_in(page, desk):
    """The dashboard with a live link, at the overview."""
    page.goto(desk.url)
    page.get_by_test_id("login-username").fill("admin")
    page.get_by_test_id("login-password").fill(PASSWORD)
    page.get_by_test_id("login-submit").click()
    page.wait_for_selector("[data-testid=link-badge][data-liveness=live]")
    return page


if __name__ == "__main__":  # a desk to look at: python tests/ui/conftest.py [port]
    import sys

    lookout = Server(int(sys.argv[1]) if len(sys.argv) > 1 else 8790).start()
    lookout.call(lookout.desk.populate)
    print(f"{lookout.url}  admin / {PASSWORD}")
    while True:
        time.sleep(2)
        for engine in ("alpha", "beta"):
            lookout.call(
                lookout.desk.publish,
                "engines",
                engine,
                {**lookout.desk.items["engines"][engine], "last_heartbeat": now().isoformat()},
            )
            lookout.call(lookout.desk.publish, "health", engine, lookout.desk.health(engine))
        lookout.call(
            lookout.desk.publish, "system", "platform", lookout.desk.system(engines_connected=2, engines_offline=1)
        )
