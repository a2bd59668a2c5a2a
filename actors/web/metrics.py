"""The numbers Prometheus asks for, in its text format. Everything is read from memory."""

from collections.abc import Iterable

import attrs
import psutil

from actors.platform.services import Services
from supervisor.mailbox import Why
from wire.rest.stops import StopState

_process = psutil.Process()


@attrs.frozen(kw_only=True)
class Sample:
    """One value; ``labels`` are pairs of name and value."""

    name: str
    kind: str
    doc: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


def exposition(services: Services) -> str:
    """Metrics of one name stand together under one HELP and one TYPE line, as the format asks."""
    lines: list[str] = []
    named: set[str] = set()
    for sample in _samples(services):
        if sample.name not in named:
            named.add(sample.name)
            lines += [f"# HELP {sample.name} {sample.doc}", f"# TYPE {sample.name} {sample.kind}"]
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels)
        number = f"{int(sample.value)}" if sample.value == int(sample.value) else f"{sample.value!r}"
        lines.append(f"{sample.name}{{{labels}}} {number}" if labels else f"{sample.name} {number}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _samples(services: Services) -> Iterable[Sample]:
    yield from _process_samples()
    yield from _system_samples(services)
    yield from _stop_samples(services)
    yield from _store_samples(services)
    for topic in services.hub.statistics():
        yield Sample(
            name="watchkeeper_topic_items_total",
            kind="counter",
            doc="Items published to dashboards.",
            value=topic.offset,
            labels=(("topic", topic.topic.value),),
        )


def _process_samples() -> Iterable[Sample]:
    with _process.oneshot():
        cpu, memory, started = _process.cpu_times(), _process.memory_info(), _process.create_time()
    yield Sample(name="process_cpu_seconds_total", kind="counter", doc="CPU seconds used.", value=cpu.user + cpu.system)
    yield Sample(name="process_resident_memory_bytes", kind="gauge", doc="Resident memory.", value=float(memory.rss))
    yield Sample(name="process_start_time_seconds", kind="gauge", doc="When the process began.", value=started)


def _system_samples(services: Services) -> Iterable[Sample]:
    numbers = services.system.statistics()
    gauges = (
        ("watchkeeper_actors", "Actors that exist.", numbers.actors),
        ("watchkeeper_actors_running", "Actors that run.", numbers.running),
        ("watchkeeper_mailbox_messages", "Messages waiting in mailboxes.", numbers.queued),
    )
    counters = (
        ("watchkeeper_actor_restarts_total", "Restarts of actors.", numbers.restarts),
        ("watchkeeper_messages_handled_total", "Messages handled by actors.", numbers.handled),
    )
    for name, doc, value in gauges:
        yield Sample(name=name, kind="gauge", doc=doc, value=value)
    for name, doc, value in counters:
        yield Sample(name=name, kind="counter", doc=doc, value=value)
    for event, count in numbers.events:
        yield Sample(
            name="watchkeeper_supervisor_events_total",
            kind="counter",
            doc="Reports of supervisors, by event.",
            value=count,
            labels=(("event", event),),
        )
    for why in Why:
        yield Sample(
            name="watchkeeper_dead_letters_total",
            kind="counter",
            doc="Messages nobody took, by reason.",
            value=services.system.dead_letters.total(why),
            labels=(("reason", why.value),),
        )


def _stop_samples(services: Services) -> Iterable[Sample]:
    stops = services.stops.values()
    open_stops = [stop for stop in stops if stop.released_at is None]
    yield Sample(name="watchkeeper_stops_open", kind="gauge", doc="Stops that hold.", value=len(open_stops))
    for state in StopState:
        count = sum(stop.state is state for stop in open_stops)
        yield Sample(
            name="watchkeeper_stops_by_state",
            kind="gauge",
            doc="Open stops by state.",
            value=count,
            labels=(("state", state.value),),
        )
    highest = max((stop.epoch for stop in stops), default=0)
    yield Sample(name="watchkeeper_stop_epoch", kind="gauge", doc="Highest stop epoch shown.", value=highest)


def _store_samples(services: Services) -> Iterable[Sample]:
    up = 0 if services.db.down_since is not None else 1
    yield Sample(name="watchkeeper_database_up", kind="gauge", doc="1 while the database answers.", value=up)
    yield Sample(
        name="watchkeeper_engines_enrolled", kind="gauge", doc="Engines known.", value=len(services.enrolled.everyone())
    )
    for part in services.degraded.parts():
        yield Sample(
            name="watchkeeper_degraded",
            kind="gauge",
            doc="1 for each part that is degraded.",
            value=1,
            labels=(("part", part.part),),
        )
