"""The practical limit of Python: uvloop, the sans-I/O protocol of `websockets`, msgspec, one array frame a tick."""

import argparse
import asyncio
import uuid
from typing import Annotated, Any, Literal

import msgspec
import uvloop
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

TICK = 0.03
Id = Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x7e]{1,64}$")]
Text = Annotated[str, msgspec.Meta(max_length=2000)]


class TradeLog(msgspec.Struct):
    id: Id
    category: Literal["System", "Strategy", "Trade"]
    message: Text
    timestamp: str
    reason: Text | None = None
    strategy_id: Id | None = None
    symbol: Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9]{1,12}$")] | None = None
    order_id: Id | None = None
    severity: Literal["info", "warning", "error", "critical"] | None = None


class Health(msgspec.Struct):
    cpu_usage: Annotated[float, msgspec.Meta(ge=0)]
    memory_usage: Annotated[float, msgspec.Meta(ge=0, le=100)]
    process_status: Literal["running", "degraded", "stopping", "error"]
    engine_count: Annotated[int, msgspec.Meta(ge=0)]
    active_strategies: Annotated[int, msgspec.Meta(ge=0)]
    last_update: str


class Progress(msgspec.Struct):
    stop_id: Id
    phase: str


class Trade(msgspec.Struct, tag_field="type", tag="trade_log"):
    engine_id: Id
    seq: int
    payload: TradeLog


class HealthUpdate(msgspec.Struct, tag_field="type", tag="health_update"):
    engine_id: Id
    seq: int
    payload: Health


class StopProgress(msgspec.Struct, tag_field="type", tag="stop_progress"):
    engine_id: Id
    seq: int
    payload: Progress


decode = msgspec.json.Decoder(Trade | HealthUpdate | StopProgress).decode
encode = msgspec.json.Encoder().encode


class Server:
    def __init__(self) -> None:
        self.engines: dict[str, Peer] = {}
        self.dashboards: set[Peer] = set()
        self.batch: list[bytes] = []
        self.waiting: dict[str, bytes] = {}
        self.asker: asyncio.Transport | None = None

    def publish(self, item: bytes) -> None:
        self.batch.append(item)
        if len(self.batch) == 1:
            asyncio.get_running_loop().call_later(TICK, self.flush)

    def flush(self) -> None:
        frame = Frame(Opcode.TEXT, b'{"type":"delta","items":[' + b",".join(self.batch) + b"]}").serialize(mask=False)
        self.batch.clear()
        for peer in self.dashboards:
            if peer.transport.get_write_buffer_size() < 2**23:
                peer.transport.write(frame)

    def stop(self, asker: asyncio.Transport) -> None:
        stop = {"type": "emergency_stop", "payload": {"stop_id": uuid.uuid4().hex, "level": "FLATTEN"}}
        frame = Frame(Opcode.TEXT, encode(stop)).serialize(mask=False)
        self.asker, self.waiting = asker, dict.fromkeys(self.engines, b"")
        for peer in self.engines.values():
            peer.transport.write(frame)

    def stopped(self, engine_id: str) -> None:
        self.waiting.pop(engine_id, None)
        if not self.waiting and self.asker is not None:
            self.asker.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


class Peer(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server = server
        self.protocol: ServerProtocol | None = None
        self.engine_id = ""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.protocol is None:
            if data.startswith(b"POST"):
                self.server.stop(self.transport)
                return
            self.protocol = ServerProtocol(subprotocols=["watchkeeper-engine.v1", "watchkeeper-ui.v1"], max_size=2**18)
        self.protocol.receive_data(data)
        last = 0
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.open(event)
            elif event.opcode is Opcode.TEXT and self.engine_id:
                last = self.heard(event.data) or last
        if last:
            ack = encode({"type": "ack", "engine_id": self.engine_id, "payload": {"seq": last}})
            self.transport.write(Frame(Opcode.TEXT, ack).serialize(mask=False))
        for out in self.protocol.data_to_send():
            self.transport.write(out)

    def open(self, request: Request) -> None:
        assert self.protocol is not None
        self.protocol.send_response(self.protocol.accept(request))
        if request.path.startswith("/ws/engine/"):
            self.engine_id = request.path.removeprefix("/ws/engine/")
            self.server.engines[self.engine_id] = self
        else:
            self.server.dashboards.add(self)

    def heard(self, data: bytes) -> int:
        message = decode(data)
        if isinstance(message, StopProgress):
            self.server.stopped(message.engine_id)
            return 0
        self.server.publish(encode(message))
        return message.seq

    def connection_lost(self, error: Exception | None) -> None:
        self.server.dashboards.discard(self)
        self.server.engines.pop(self.engine_id, None)


async def main(port: int) -> None:
    server = Server()
    listener = await asyncio.get_running_loop().create_server(lambda: Peer(server), "127.0.0.1", port)
    await listener.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    uvloop.run(main(parser.parse_args().port))
