"""The simulator as a process: books, actors, one loopback port for HTTP and WebSocket."""

import logging
import os
import secrets
import signal
import socket
import sys
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import trio
from hypercorn.config import Config
from hypercorn.protocol import ws_stream
from hypercorn.trio import serve as serve_http

from actors.config import Address
from actors.errors import OK, REFUSED, Refused
from actors.simulator.broker import Broker
from actors.simulator.customers import Customers
from actors.simulator.faults import FaultBoard
from actors.simulator.feeds import Feeds
from actors.simulator.floor import KST, Floor
from actors.simulator.ledger import Ledger, books_path
from actors.simulator.market_clock import MarketClock
from actors.simulator.options import SimulatorOptions, parse
from actors.simulator.stream_client import Sessions
from actors.simulator.web import Parts, make_app
from supervisor.dynamic import DynamicSupervisor
from supervisor.spec import ChildSpec
from supervisor.system import System, open_system
from wire.exchange.market import Bar, Market, MarketFileError, read_bars

GONE_PEER_MS = 3_000  # a peer that takes nothing for so long is cut off: sends of the server cannot be timed out
MAX_MESSAGE = 16 * 1024
TOKEN_FILE = "admin-token"


async def serve(options: SimulatorOptions, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until cancelled; reports the bound address when everything answers.

    Raises Refused, one clear line, for a busy port, an unusable home folder or an unreadable data file.
    """
    bars = await trio.to_thread.run_sync(_bars, options)
    with ExitStack() as opened:
        listener = opened.enter_context(_listen(options.listen))
        admin_token = options.admin_token or _keep_token(options.home)
        ledger = opened.enter_context(closing(Ledger(books_path(options.home, options.data, options.seed))))
        first = min(rows[0].day for rows in bars.values()) if bars else datetime.now(KST).date()
        market = Market(options.seed, first_day=ledger.first_day(options.start or first), bars=bars)
        if options.port_file:
            opened.callback(options.port_file.unlink, missing_ok=True)
        await _run(options, market, ledger, listener, admin_token, task_status)


async def _run(
    options: SimulatorOptions,
    market: Market,
    ledger: Ledger,
    listener: socket.socket,
    admin_token: str,
    task_status: trio.TaskStatus[Address],
) -> None:
    address = options.listen.at(listener.getsockname()[1])
    customers, faults, feeds = Customers(), FaultBoard(), Feeds()
    children = [
        ChildSpec(id="floor", factory=lambda: Floor(options, market, ledger, customers, faults, feeds)),
        ChildSpec(id="clock", factory=lambda: MarketClock("floor")),
        ChildSpec(id="clients", factory=DynamicSupervisor),
    ]
    async with open_system(name="simulator", children=children, intensity=10, period=10.0) as system:
        app = make_app(_parts(system, market, customers, faults, feeds, options, admin_token))
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_http, app, _http_config(listener), mode="asgi"))
            if options.port_file:
                _write_atomically(options.port_file, str(address))
            task_status.started(address)


def _parts(
    system: System,
    market: Market,
    customers: Customers,
    faults: FaultBoard,
    feeds: Feeds,
    options: SimulatorOptions,
    admin_token: str,
) -> Parts:
    return Parts(
        system=system,
        broker=Broker(customers, faults, system.ref("floor"), seed=options.seed),
        customers=customers,
        faults=faults,
        feeds=feeds,
        sessions=Sessions(),
        market=market,
        admin_token=admin_token,
    )


def _bars(options: SimulatorOptions) -> dict[str, tuple[Bar, ...]] | None:
    try:
        return read_bars(options.data) if options.data else None
    except MarketFileError as error:
        raise Refused(f"cannot use the market data: {error}") from error


def _listen(wanted: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_PEER_MS)
        listener.bind((wanted.host, wanted.port))
        listener.listen(100)
    except OSError as error:
        listener.close()
        raise Refused(f"cannot listen on {wanted}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


def _http_config(listener: socket.socket) -> Config:
    # Hypercorn always offers permessage-deflate and has no setting for it; the broker offers none.
    vars(ws_stream)["server_extensions_handshake"] = lambda requested, supported: None
    config = Config()
    config.bind = [f"fd://{os.dup(listener.fileno())}"]
    config.websocket_max_message_size = MAX_MESSAGE
    config.accesslog = None
    config.errorlog = logging.getLogger("actors.simulator.http")
    config.loglevel = "WARNING"
    config.keep_alive_timeout = 75.0
    config.graceful_timeout = 1.0
    config.shutdown_timeout = 1.0
    return config


def _keep_token(home: Path) -> str:
    """The token of the ``/sim`` calls: kept in the home folder, readable by its owner alone."""
    path = home / TOKEN_FILE
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            kept = path.read_text(encoding="ascii").strip()
            if kept:
                return kept
        token = secrets.token_urlsafe(32)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(token)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"cannot use the home folder {home}: {error}") from error
    return token


def _write_atomically(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text + "\n", encoding="ascii")
        part.replace(path)
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror or error}") from error


async def _until_signalled(options: SimulatorOptions) -> None:
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            address = await nursery.start(partial(serve, options))
            print(f"broker simulator (KIS) on http://{address}, books in {options.home}", flush=True)
            async for _ in signals:
                nursery.cancel_scope.cancel()
                return


def run(argv: list[str]) -> int:
    """The command ``broker-sim``: until SIGINT or SIGTERM. Returns the exit code."""
    code = OK
    try:
        trio.run(_until_signalled, parse(argv))
    except* Refused as refusals:
        code = REFUSED
        print(_first(refusals).message, file=sys.stderr)
    return code


def _first(group: BaseExceptionGroup[Refused]) -> Refused:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
