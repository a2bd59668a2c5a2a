"""The stack of the project's first design: FastAPI, uvicorn (uvloop, httptools, websockets), pydantic.

``--tuned`` serialises each message once and sends to all dashboards at the same time.
"""

import argparse
import asyncio
import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Id = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,64}$")]
Text = Annotated[str, Field(max_length=2000)]


class Model(BaseModel):
    model_config = ConfigDict(strict=True)


class TradeLog(Model):
    id: Id
    category: Literal["System", "Strategy", "Trade"]
    message: Text
    timestamp: datetime
    reason: Text | None = None
    strategy_id: Id | None = None
    symbol: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,12}$")] | None = None
    order_id: Id | None = None
    severity: Literal["info", "warning", "error", "critical"] | None = None


class HealthUpdate(Model):
    cpu_usage: Annotated[float, Field(ge=0)]
    memory_usage: Annotated[float, Field(ge=0, le=100)]
    process_status: Literal["running", "degraded", "stopping", "error"]
    engine_count: Annotated[int, Field(ge=0)]
    active_strategies: Annotated[int, Field(ge=0)]
    last_update: datetime


class StopProgress(Model):
    stop_id: Id
    phase: str
    orders_cancelled: Annotated[int, Field(ge=0)]
    positions_liquidated: Annotated[int, Field(ge=0)]
    flatness: Literal["FLAT", "NOT_FLAT", "UNKNOWN"]


class Update(Model):
    engine_id: Id
    timestamp: datetime
    seq: int
    id: Id | None = None


class TradeUpdate(Update):
    type: Literal["trade_log"]
    payload: TradeLog


class HealthReport(Update):
    type: Literal["health_update"]
    payload: HealthUpdate


class StopReport(Update):
    type: Literal["stop_progress"]
    payload: StopProgress


AnyUpdate: TypeAdapter[Any] = TypeAdapter(
    Annotated[TradeUpdate | HealthReport | StopReport, Field(discriminator="type")]
)


class Gateway:
    def __init__(self, *, tuned: bool) -> None:
        self.tuned = tuned
        self.engines: dict[str, WebSocket] = {}
        self.dashboards: list[WebSocket] = []
        self.results: dict[str, asyncio.Future[StopReport]] = {}

    async def broadcast(self, update: Update) -> None:
        if self.tuned:
            text = update.model_dump_json()
            await asyncio.gather(*(ws.send_text(text) for ws in self.dashboards), return_exceptions=True)
            return
        for ws in list(self.dashboards):
            try:
                await ws.send_json(update.model_dump(mode="json"))
            except (WebSocketDisconnect, RuntimeError):
                continue

    async def serve_engine(self, engine_id: str, ws: WebSocket) -> None:
        self.engines[engine_id] = ws
        try:
            while True:
                update = AnyUpdate.validate_json(await ws.receive_text())
                if isinstance(update, StopReport):
                    self.results[engine_id].set_result(update)
                    continue
                await ws.send_json({"type": "ack", "engine_id": engine_id, "payload": {"seq": update.seq}})
                await self.broadcast(update)
        except (WebSocketDisconnect, RuntimeError):
            self.engines.pop(engine_id, None)

    async def stop(self) -> dict[str, Any]:
        stop = {"stop_id": uuid.uuid4().hex, "level": "FLATTEN", "scope": "all", "reason": "bench"}
        frame = {"type": "emergency_stop", "payload": stop}
        self.results = {engine_id: asyncio.get_running_loop().create_future() for engine_id in self.engines}
        if self.tuned:
            text = TypeAdapter(dict).dump_json(frame).decode()
            await asyncio.gather(*(ws.send_text(text) for ws in self.engines.values()))
        else:
            for ws in self.engines.values():
                await ws.send_json(frame)
        done = await asyncio.gather(*self.results.values())
        return {"stop_id": stop["stop_id"], "results": [one.model_dump(mode="json") for one in done]}


def build(*, tuned: bool) -> FastAPI:
    app, gateway = FastAPI(), Gateway(tuned=tuned)

    @app.websocket("/ws/engine/{engine_id}")
    async def engine(ws: WebSocket, engine_id: str) -> None:
        await ws.accept(subprotocol=ws.scope["subprotocols"][0])
        await gateway.serve_engine(engine_id, ws)

    @app.websocket("/ws")
    async def dashboard(ws: WebSocket) -> None:
        await ws.accept(subprotocol=ws.scope["subprotocols"][0])
        gateway.dashboards.append(ws)
        try:
            while True:
                await ws.receive_text()
        except (WebSocketDisconnect, RuntimeError):
            gateway.dashboards.remove(ws)

    @app.post("/api/engines/emergency-stop")
    async def stop() -> dict[str, Any]:
        return await gateway.stop()

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--tuned", action="store_true")
    args = parser.parse_args()
    uvicorn.run(
        build(tuned=args.tuned),
        port=args.port,
        loop="uvloop",
        http="httptools",
        ws="websockets",
        access_log=False,
        log_level="error",
        ws_ping_interval=None,
    )
