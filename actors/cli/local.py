"""``--local``: a stop by whoever may use the home folder. No password, no network, no database.

A running platform takes it through a socket in the home folder, in a thread of its own that works while everything else
hangs. Without a platform the stop is left, synced, where the next start reads it before any engine may trade.
"""

from functools import partial
from pathlib import Path
from typing import Any

import trio

from actors.cli.home import is_in_use
from actors.cli.progress import report
from actors.cli.tables import complain, line
from actors.emergency.local_socket import LocalAnswer, new_request
from actors.emergency.local_socket import stop_locally as ask
from actors.errors import FAILED, Refused
from actors.fleet.enrolled import ENGINES_FILE, EnrolledEngines
from wire.codec import unstructure
from wire.stops import Level, Scope


def stop_locally(home: Path, request: dict[str, Any]) -> int:
    """Returns the exit code. Raises Refused when the home folder is not there or not ours, or the platform says no."""
    if not home.is_dir():
        raise Refused(f"there is no home folder {home}: nothing was ever started there")
    wanted = new_request(
        Scope.parse(request["scope"]), Level(request["level"]), request["reason"], drill=request["drill"]
    )
    try:
        answer = trio.run(partial(ask, home, wanted))
    except OSError as error:
        raise Refused(f"{home} cannot be written ({error.strerror}): nothing was stopped") from None
    return _report(home, answer, wanted.scope)


def _report(home: Path, answer: LocalAnswer, scope: Scope) -> int:
    if not answer.recorded:
        raise Refused(answer.words)
    if answer.stop is not None:
        return report(unstructure(answer.stop))
    line(answer.words if answer.stop_id is None else f"stop {answer.stop_id}: {answer.words}")
    if answer.stop_id is None and is_in_use(home):
        complain("a platform runs here but did not answer: use its emergency page, or end that process")
    if answer.stop_id is None and _covers_nobody(home, scope):
        complain(f"{scope} covers none of the engines that were enrolled here last: stop `all` if it was not meant so")
    return FAILED


def _covers_nobody(home: Path, scope: Scope) -> bool:
    """A platform would have refused that; without one it can only be said."""
    engines = EnrolledEngines(home / ENGINES_FILE)
    return engines.read_file() and not any(scope.concerns(e.engine_id, e.account_id) for e in engines.everyone())
