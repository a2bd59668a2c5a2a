"""`watchkeeper demo`: the whole desk on one machine, in one home folder.

The platform runs in this process; the broker simulator and the three engines are processes of their own, supervised
children of the platform's tree and tethered to it. The simulator's books, the engines' latches and all keys stay in the
home, so the next start finds everything as it was, stops included.
"""

import math
import socket
import sys
from functools import partial
from pathlib import Path

import attrs
import trio

from actors import collector
from actors.config import PlatformSettings
from actors.demo.desk import SEATS, Seat, prepare_desk
from actors.demo.processes import ChildProcess
from actors.platform.platform import run_platform
from actors.platform.services import Services
from supervisor.backoff import Backoff
from supervisor.spec import ChildSpec
from supervisor.supervision import Supervisor
from wire.rest.stops import Stop

RESTARTS = Backoff(base=0.5, max_delay=10.0)
START_SECONDS = 40.0
STOP_SECONDS = 4.0
"""What a process of the desk gets to end by itself; the platform as a whole has ten seconds to drain."""


@attrs.frozen(kw_only=True)
class DemoOptions:
    """``speed``: simulated seconds per real second. ``data``: a file of daily bars; without it prices are made up."""

    data: Path | None = None
    speed: float = 60.0
    seed: int = 1


async def run_demo(settings: PlatformSettings, options: DemoOptions) -> None:
    """Runs until a signal ends the platform. Raises Refused like the platform itself."""
    broker = f"127.0.0.1:{_free_port()}"
    settings = attrs.evolve(settings, kis_url=f"http://{broker}")
    async with trio.open_nursery() as nursery:
        services: Services = await nursery.start(run_platform, settings)
        collector.settle()
        folder = settings.home / "demo"
        folder.mkdir(mode=0o700, exist_ok=True)
        await prepare_desk(services, folder, broker)
        await services.system.start_child(services.system.name, _desk(settings, options, folder, broker))
        print(greeting(services), flush=True)


def _desk(settings: PlatformSettings, options: DemoOptions, folder: Path, broker: str) -> ChildSpec:
    """The simulator first, then the engines; each comes back by itself when it dies."""
    simulator = ChildSpec(
        id="broker-sim",
        factory=partial(_simulator, options, folder, broker),
        backoff=RESTARTS,
        start_timeout=START_SECONDS,
        shutdown=STOP_SECONDS + 1,
    )
    engines = [
        ChildSpec(
            id=seat.engine_id,
            factory=partial(_engine, settings, folder, seat),
            backoff=RESTARTS,
            shutdown=STOP_SECONDS + 1,
        )
        for seat in SEATS
    ]
    # However often they die, they must not take the platform along: it never escalates.
    return ChildSpec(id="desk", factory=lambda: Supervisor([simulator, *engines], intensity=math.inf))


def _simulator(options: DemoOptions, folder: Path, broker: str) -> ChildProcess:
    ready = folder / "broker-sim.address"
    command = [sys.executable, "-m", "actors", "broker-sim", "--listen", broker, "--home", str(folder / "broker-sim")]
    command += ["--accounts", str(folder / "accounts.json"), "--port-file", str(ready)]
    command += ["--speed", str(options.speed), "--seed", str(options.seed)]
    if options.data is not None:
        command += ["--data", str(options.data.absolute())]
    return ChildProcess("broker-sim", command, log=folder / "broker-sim.log", ready=ready, patience=STOP_SECONDS)


def _engine(settings: PlatformSettings, folder: Path, seat: Seat) -> ChildProcess:
    return ChildProcess(
        seat.engine_id,
        [sys.executable, "-m", "actors", "engine", "--config", str(folder / f"{seat.engine_id}.toml")],
        log=folder / f"{seat.engine_id}.log",
        environment={"WATCHKEEPER_HOME": str(settings.home)},
        patience=STOP_SECONDS,
    )


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def greeting(services: Services) -> str:
    """What the operator reads first: what is stopped, if anything, then where to go."""
    lines = []
    for stop in open_stops(services):
        lines += [
            f"STOPPED: {stop.level.value} on {stop.scope} since {stop.requested_at:%Y-%m-%d %H:%M:%S} UTC"
            f" ({stop.cause}: {stop.reason or 'no reason given'}). It holds until a person releases it:",
            f"  watchkeeper release {stop.stop_id} --reason WHY",
        ]
    lines += [
        f"Watchkeeper demo: three engines trade against a simulated broker. All is kept in {services.settings.home}",
        f"Dashboard: http://{services.settings.http}   user: admin",
        "Ctrl-C ends all of it.",
    ]
    return "\n".join(lines)


def open_stops(services: Services) -> list[Stop]:
    return [stop for stop in services.stops.values() if stop.released_at is None]
