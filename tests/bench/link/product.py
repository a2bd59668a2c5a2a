"""The real platform as a process of its own: its listeners, validation, sessions, acknowledgements and bounds.

With ``--memory`` trade logs are committed to this process's memory instead of PostgreSQL: the peers keep nothing
either. With ``--library`` trio-websocket drives the engines' sockets. Everything else, the stop journal included, is as
it always is. The first line of the output tells where it listens and the tokens of ``--engines N`` enrolled engines and
of an operator.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import trio

from actors import collector
from actors.config import load_settings
from actors.links.listener import WhereEnginesConnect
from actors.logs import set_up_logging
from actors.platform import platform
from actors.platform.log_writer import DatabaseLedger
from actors.platform.services import Services
from actors.requests import ENGINE_LISTENER, FLEET, WEB, EngineEnrolled
from actors.web.engines import enrol_engine
from actors.web.server import WhereAreYou
from store import engines as store_engines
from store.links import Progress
from store.logs import Committed, Received
from wire import library
from wire.rest.engines import EnrolRequest
from wire.server import EngineListener

TOKEN_SECONDS = 3600


class MemoryLedger(DatabaseLedger):
    """Keeps the ids, so that a repeated message is new only once, and nothing else."""

    def __init__(self, db: object) -> None:
        super().__init__(db)  # type: ignore[arg-type]
        self._known: set[tuple[str, str]] = set()

    async def commit(self, received: Sequence[Received], progress: Sequence[Progress], now: datetime) -> Committed:
        new = [one for one in received if (one.engine_id, one.id) not in self._known]
        self._known.update((one.engine_id, one.id) for one in new)
        await trio.lowlevel.checkpoint()
        return Committed(new=new, rejected=[], moved=frozenset())


async def _enrol(services: Services, engines: int) -> dict[str, str]:
    names = [f"bench-{n:03}" for n in range(engines)]
    for name in names[:-1]:
        await services.db.run(store_engines.enrol, name, name, f"account-{name}", b"0" * 32, None)
    # The last one goes the whole way, so that everybody gets to know them all.
    last = EnrolRequest(name=names[-1], account_id=f"account-{names[-1]}", engine_id=names[-1])
    await enrol_engine(services, "bench", last)
    for known in services.enrolled.everyone():
        told = EngineEnrolled(engine_id=known.engine_id, name=known.name, account_id=known.account_id)
        await services.system.ref(FLEET).ask(told)
    tokens = {}
    for name in names:
        tokens[name] = services.tokens.issue_engine(name, lifetime=TOKEN_SECONDS).token
    return tokens


async def main(home: Path, engines: int) -> None:
    listen = dict.fromkeys(("WATCHKEEPER_HTTP", "WATCHKEEPER_ENGINES"), "127.0.0.1:0")
    settings = load_settings({}, {"WATCHKEEPER_HOME": str(home), "WATCHKEEPER_EMERGENCY": "off", **listen})
    async with trio.open_nursery() as nursery:
        services = await nursery.start(platform.run_platform, settings)
        collector.settle()  # as `watchkeeper up` does
        tokens = await _enrol(services, engines)
        now = int(datetime.now(UTC).timestamp())
        user = services.tokens.issue_user(
            "bench", username="bench", role="admin", auth_time=now, lifetime=TOKEN_SECONDS
        )
        where = {
            "http": (await services.system.ref(WEB).ask(WhereAreYou())).port,
            "engines": (await services.system.ref(ENGINE_LISTENER).ask(WhereEnginesConnect())).port,
            "user": user.token,
            "tokens": tokens,
        }
        print(json.dumps(where), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--engines", type=int, default=520)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--library", action="store_true")
    args = parser.parse_args()
    if args.library:
        EngineListener.__init__.__kwdefaults__["driver"] = library.accept
    if args.memory:
        vars(platform)["DatabaseLedger"] = MemoryLedger
    set_up_logging("ERROR")
    trio.run(main, args.home, args.engines)
