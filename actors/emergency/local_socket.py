"""The local operator's way to stop: a socket in the home folder that only its owner may open. No password, no database.

One JSON line asks, one answers. Where no platform listens, the stop is left as a synced file for its next start.
"""

import contextlib
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import trio

from store.journal_records import StopNoted
from store.left_stops import forget, leave
from wire.codec import decode, encode
from wire.errors import InvalidField, WireError
from wire.rest.stops import Stop, StopState
from wire.schema import C, message
from wire.stops import Identifier, Level, Scope

SOCKET_FILE = "stop.sock"
MAX_REQUEST = 16 * 1024
MAX_ANSWER = 8 * 1024 * 1024
LOCAL_USER = "local"
GONE = "no platform runs here: the stop is on the disk, and holds from the platform's next start"
HUNG = (
    "the platform does not answer: the stop is on the disk, and holds as soon as it lives again, or from its next start"
)
LOCAL = "local"
AGAIN_SECONDS = 0.1


@message
class LocalRequest:
    """What the command line sends. ``wait_s``: how long it will wait for the engines, at most 30 s."""

    request_id: Annotated[str, C(pattern=r"[\x21-\x7e]{1,64}")]
    scope: Scope = Scope.everything()
    level: Level = Level.FLATTEN
    reason: Annotated[str, C(max_length=500)] = ""
    wait_s: Annotated[float, C(ge=0, le=30)] = 30.0
    drill: bool = False

    def __attrs_post_init__(self) -> None:
        if self.level is Level.NORMAL:
            raise InvalidField("NORMAL stops nothing: take REDUCE_ONLY, HALT, CANCEL or FLATTEN", field="level")


@message
class LocalAnswer:
    """``state`` None: recorded, but the platform's main loop did not take it; engines halt when their lease ends.
    ``stop``: how far each engine is, as REST shows it."""

    recorded: bool
    words: Annotated[str, C(max_length=2000)]
    stop_id: Identifier | None = None
    state: StopState | None = None
    delivered: Annotated[int, C(ge=0)] = 0
    engines: Annotated[int, C(ge=0)] = 0
    durable: bool = False
    stop: Stop | None = None


def socket_path(home: Path) -> Path:
    return home / SOCKET_FILE


async def stop_locally(
    home: Path, request: LocalRequest, *, patience: float = 40.0, silence: float = 3.0
) -> LocalAnswer:
    """Asks the platform of this home; where none runs, leaves the stop for its next start.

    Where one runs and says nothing for ``silence`` seconds the stop is left too, so that it is on the disk whoever
    gives up first; an answer that it is recorded, or refused, takes it away again. Raises OSError when neither can be
    done.
    """
    stop, left, answer = _noted(request), list[Path](), None

    async def leave_it() -> None:
        await trio.sleep(silence)
        with contextlib.suppress(OSError):
            left.append(await trio.to_thread.run_sync(leave, home, stop))

    async with trio.open_nursery() as nursery:
        if not request.drill:
            nursery.start_soon(leave_it)
        with trio.move_on_after(patience) as waiting:
            answer = await _ask(socket_path(home), request)
        nursery.cancel_scope.cancel()
    if answer is not None:
        is_one_copy = answer.stop_id is not None and not answer.durable
        for path in () if is_one_copy else left:
            with contextlib.suppress(OSError):  # it stays, and is the same request when it is taken up
                await trio.to_thread.run_sync(forget, path)
        return answer
    if request.drill:
        return LocalAnswer(recorded=False, words="no platform answers here: a drill needs one, a real stop does not")
    if not left:
        await trio.to_thread.run_sync(leave, home, stop)
    return LocalAnswer(recorded=True, durable=True, words=HUNG if waiting.cancelled_caught else GONE)


async def _ask(path: Path, request: LocalRequest) -> LocalAnswer | None:
    """None when nobody listens, or says what is no answer. Whoever is sent away by a crowd comes again."""
    while True:
        try:
            stream = await trio.open_unix_socket(str(path))
        except OSError:
            return None
        async with stream:
            try:
                await stream.send_all(encode(request).encode() + b"\n")
                return decode(await read_line(stream, MAX_ANSWER), LocalAnswer)
            except WireError:
                return None
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                await trio.sleep(AGAIN_SECONDS)


async def read_line(stream: trio.abc.ReceiveStream, limit: int) -> bytes:
    """Up to the newline. Raises BrokenResourceError when the peer leaves before, or says more than ``limit`` bytes."""
    line = bytearray()
    while not line.endswith(b"\n"):
        data = await stream.receive_some(65536)
        line += data
        if not data or len(line) > limit:
            raise trio.BrokenResourceError
    return bytes(line[:-1])


def new_request(scope: Scope, level: Level, reason: str, *, drill: bool = False) -> LocalRequest:
    return LocalRequest(request_id=str(uuid.uuid4()), scope=scope, level=level, reason=reason, drill=drill)


def _noted(request: LocalRequest) -> StopNoted:
    return noted_locally(request, stop_id=f"stop-{uuid.uuid4().hex[:20]}", epoch=0, user_id=LOCAL_USER)


def noted_locally(
    request: LocalRequest, *, stop_id: str, epoch: int, user_id: str, username: str | None = None
) -> StopNoted:
    """The request as a stop, before the coordinator has seen it."""
    return StopNoted(
        stop_id=stop_id,
        request_id=request.request_id,
        scope=request.scope,
        level=request.level,
        stop_epoch=epoch,
        user_id=user_id,
        reason=request.reason,
        cause=LOCAL,
        username=username,
        at=datetime.now(UTC),
    )
