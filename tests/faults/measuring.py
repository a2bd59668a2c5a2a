"""One round: a stop is sent into a fault, and it is measured when every engine was shut. Then the stop is released.

The first moment is taken before the connection of the POST is made. "Gate" is the last engine's gate. The last order
that the broker accepted from any engine was accepted between two moments: it was sent, and its answer had been read.
"""

import math
import os
import signal
import threading
import time
import uuid
from contextlib import suppress
from functools import partial
from random import Random
from statistics import median

import attrs
import trio

from actors.emergency.local_socket import new_request, stop_locally
from tests.faults.arena import Answer, Arena, Away, Late, call, until
from tests.faults.injectors import SECOND, Fault
from wire.stops import Level, Scope

ANSWERS_SETTLE = 0.5  # seconds in which the broker's answers to what was written before arrive
KILL_WINDOW = 0.05


@attrs.frozen(kw_only=True)
class Round:
    """Seconds from the POST. ``sent``, ``order``: the last order left an engine, its "accepted" was read. ``answer``:
    until the POST's answer, None without one. ``acknowledged``: as durable; ``forgotten``: that, and not open
    afterwards. ``overtaken``: engines that wrote an order after their gate had closed. ``again``: when the stop was
    asked for once more, because nobody had answered; None where that was not needed."""

    gate: float
    sent: float
    order: float
    answer: float | None
    acknowledged: bool
    forgotten: bool
    overtaken: int
    again: float | None = None

    def is_in_time(self, goal: float) -> bool:
        """By the fault's goal, or within a second of the request that somebody heard."""
        return self.gate <= max(goal, SECOND + self.again if self.again is not None else 0.0)


@attrs.define
class Row:
    """What a fault came to."""

    name: str
    goal: float
    rounds: list[Round] = attrs.field(factory=list)
    load: float = 0.0
    trouble: str = ""

    @property
    def is_kept(self) -> bool:
        late = not all(r.is_in_time(self.goal) for r in self.rounds)
        return not self.trouble and not late and not any(r.forgotten or r.overtaken for r in self.rounds)


@attrs.define
class _Asked:
    """The stop as its caller sees it."""

    began: float = 0.0
    answered: float | None = None
    answer: Answer | None = None
    stop_id: str | None = None
    is_durable: bool = False
    again: float | None = None


def measure(arena: Arena, fault: Fault, rng: Random, *, respond_async: bool) -> Round:
    arena.trade_again()
    arena.refresh_people()
    time.sleep(rng.uniform(0, 0.3))
    request_id = uuid.uuid4().hex
    asked = _Asked()
    with fault.made():
        killed = _ask_and_kill(arena, fault, rng, asked, request_id, respond_async=respond_async)
        if fault.kills_platform:
            arena.start_platform()
            _repeat_if_unanswered(arena, asked, request_id)
        _until_all_closed(arena, asked.began, fault.goal + 5)
        time.sleep(ANSWERS_SETTLE)
        moments = arena.moments()
    for name in killed:
        arena.start_engine(name)
    until(arena.is_whole, "nothing is degraded any more", 90)
    open_now = arena.open_stops()
    forgotten = asked.is_durable and asked.stop_id not in open_now
    _stay_closed(arena, killed)
    return Round(
        gate=max(m.closed_at - asked.began for name, m in moments.items() if name not in killed),
        sent=max(0.0, *(m.written_at - asked.began for m in moments.values())),
        order=max(0.0, *(m.accepted_at - asked.began for m in moments.values())),
        answer=None if asked.answered is None else asked.answered - asked.began,
        acknowledged=asked.is_durable,
        forgotten=forgotten,
        overtaken=sum(m.written_at > m.closed_at for name, m in moments.items() if name not in killed),
        again=None if asked.again is None else asked.again - asked.began,
    )


def _ask_and_kill(
    arena: Arena, fault: Fault, rng: Random, asked: _Asked, request_id: str, *, respond_async: bool
) -> list[str]:
    """Sends the stop and, where the fault is to kill, kills a moment after it was begun. The engines that were."""
    send = partial(_post, arena, asked, request_id, respond_async=respond_async)
    if fault.by_local_socket:
        send = partial(_local, arena, asked)
    if not fault.kills_platform and not fault.kills_engines:
        send()
        return []
    moment, victims = rng.uniform(0, KILL_WINDOW), rng.sample(arena.names, fault.kills_engines)
    sender = threading.Thread(target=send)
    sender.start()
    if fault.waits_for_answer:
        sender.join(40)  # what was acknowledged must be there after the kill
    time.sleep(moment)
    if fault.kills_platform:
        arena.end("platform", signal.SIGKILL)
    for name in victims:
        os.kill(arena.processes[name].pid, signal.SIGKILL)
    for name in victims:
        arena.processes.pop(name).wait(10)
    sender.join(60)
    return victims


def _post(arena: Arena, asked: _Asked, request_id: str, *, respond_async: bool) -> None:
    body = {"request_id": request_id, "level": "HALT", "reason": "measured"}
    headers = {"prefer": "respond-async"} if respond_async else {}
    token = arena.admin.token
    asked.began = time.monotonic()
    with suppress(Away):
        _note(asked, call(arena.http, "POST", "/api/engines/emergency-stop", body, token=token, headers=headers))


def _local(arena: Arena, asked: _Asked) -> None:
    request = new_request(Scope.everything(), Level.HALT, "measured")
    asked.began = time.monotonic()
    said = trio.run(stop_locally, arena.home, request)
    asked.answered = time.monotonic()
    asked.stop_id, asked.is_durable = said.stop_id, said.durable


def _note(asked: _Asked, answer: Answer) -> None:
    if answer.status not in (200, 202):
        raise AssertionError(f"a stop is never refused: {answer}")
    asked.answered = time.monotonic()
    asked.stop_id, asked.is_durable = answer.body["stop_id"], answer.body["durable"]


def _repeat_if_unanswered(arena: Arena, asked: _Asked, request_id: str) -> None:
    """As somebody does whose stop was not answered: the same request once more."""
    if asked.answered is None:
        again = _Asked()
        asked.again = time.monotonic()
        _post(arena, again, request_id, respond_async=True)
        assert again.answered is not None, "the restarted platform does not take a stop"


def _until_all_closed(arena: Arena, began: float, seconds: float) -> None:
    def closed() -> bool:
        return all((m.closed and m.closed_at >= began) or _is_gone(arena, name) for name, m in arena.moments().items())

    try:
        until(closed, "every gate is closed", seconds, every=0.01)
    except Late as late:
        late_ones = [name for name, m in arena.moments().items() if not m.closed]
        raise Late(f"{late}; open: {late_ones}\n{arena.tail('platform')}") from None


def _is_gone(arena: Arena, name: str) -> bool:
    return name not in arena.processes


def _stay_closed(arena: Arena, killed: list[str]) -> None:
    """Engines that were killed come back latched: they link again, and send nothing."""
    before = arena.moments()
    for name in killed:
        until(lambda name=name: arena.diaries[name].read().starts > before[name].starts, f"{name} runs again")
    if killed:
        time.sleep(1.0)
        written = [name for name in killed if arena.diaries[name].read().written != before[name].written]
        assert not written, f"{written} came back and sent orders into a stop"


# --- the table --------------------------------------------------------------------------------------------------------


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def table(rows: list[Row]) -> str:
    head = (
        "| fault | rounds | gate p50 | gate p99 | gate worst | last order sent | … answered | durable | forgotten"
        " | goal | load |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *(_line(row) for row in rows)])


def _line(row: Row) -> str:
    rounds = row.rounds
    if not rounds:
        return f"| {row.name} | 0 | | | | | | | | {row.goal:g} s | {row.trouble} |"
    gates = [r.gate for r in rounds]
    numbers = [
        median(gates),
        percentile(gates, 0.99),
        max(gates),
        max(r.sent for r in rounds),
        max(r.order for r in rounds),
    ]
    times = " | ".join(f"{1000 * n:,.0f} ms" for n in numbers)
    kept = sum(r.acknowledged for r in rounds)
    forgotten = sum(r.forgotten for r in rounds)
    repeats = [r.again for r in rounds if r.again is not None]
    trouble = f" {row.trouble}" if row.trouble else ""
    if repeats:
        trouble += f" ({len(repeats)} asked again, after {max(repeats):.1f} s at most)"
    return f"| {row.name} | {len(rounds)} | {times} | {kept} | {forgotten} | {row.goal:g} s | {row.load:.1f}{trouble} |"
