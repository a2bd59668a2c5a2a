"""Five small worlds and what may happen in each. Together they have every step; each is small enough to be searched."""

import attrs

from tests.stops.search import replay
from tests.stops.world import World
from wire.session import State
from wire.stops import Level

LIMIT = 2
"""Stops that people take in one history."""


def _taken(world):
    return len(world.truth.scope)


def _links(world, *, whole):
    for name, engine in world.engines.items():
        link = engine.link
        if link is None:
            for platform in (p.name for p in world.platforms.values() if p.alive):
                yield f"join {name} {platform}"
                if not whole:
                    yield f"dial {name} {platform}"
            continue
        if whole:
            if link.up or link.down or not link.open:
                yield f"talk {name}"
        else:
            if link.up and link.open:
                yield f"up {name}"
            if link.hello is not None and link.open:
                yield f"greet {name}"
            if link.down:
                yield f"down {name} 1"
            if engine.unsaved:
                yield f"save {name}"
        yield f"cut {name}"


def _people(world, *scopes, levels=("HALT",), platform="P"):
    if not world.platforms[platform].alive:
        return
    book = world.platforms[platform].book
    for scope in scopes:
        for level in levels:
            known = next((e for _, e in book.register.open_stops() if str(e.scope) == scope), None)
            is_new = known is None and _taken(world) < LIMIT
            if is_new or (known is not None and known.level.rank < Level(level).rank):
                yield f"stop {scope} {level} {platform}"


def _releases(world, platform="P", *, whole=True):
    one = world.platforms[platform]
    if not one.alive:
        return
    if one.releasing is not None:
        yield f"finish {platform}" if one.releasing.sealed else f"seal {platform}"
        return
    for stop_id, _ in one.book.register.open_stops():
        yield f"release {stop_id} {platform}" if whole else f"ask_release {stop_id} {platform}"


def _disks(world, platform="P"):
    one = world.platforms[platform]
    if not one.alive:
        return
    if one.to_journal and one.home.works:
        yield f"journal {platform}"
    if one.to_save and world.base.works:
        yield f"base_writes {platform}"


def decisions(world):
    """Two engines and one platform: stops, raises and releases, connections, restarts."""
    yield from _links(world, whole=True)
    yield from _people(world, "all", "engine:E1", levels=("HALT", "FLATTEN"))
    yield from _releases(world)
    yield from _disks(world)
    yield "restart"
    yield "wait 15"


def copies(world):
    """Copies that are lost, torn, or cannot be written, at every moment of a stop and of a release."""
    one = world.platforms["P"]
    yield from _links(world, whole=True)
    yield from _people(world, "all", levels=("HALT", "FLATTEN"))
    yield from _releases(world, whole=False)
    if one.releasing is None:
        yield from _releases(world)
    yield from _disks(world)
    yield from ("restart", "lose_journal", "tear_journal", "set_back_journal", "lose_base", "lose_both")
    if one.home.works:
        yield "journal_fails"
    if world.base.works:
        yield "base_fails"
    yield "reboot E1"
    yield "reboot_without_latch E1"


def frames(world):
    """One engine, every frame on its own: what is under way when connections, processes and stops come and go."""
    engine = world.engines["E1"]
    yield from _links(world, whole=False)
    if engine.link is not None:
        yield "part E1"
    yield from _people(world, "all", levels=("HALT",))
    if _taken(world) < LIMIT:
        yield "stop_unsent all HALT"
    yield from _releases(world)
    yield "reboot E1"
    yield "reboot_without_latch E1"
    if not engine.disk.spool:
        yield "halt_itself E1"
    yield from ("wait 5", "wait 10", "wait 15")
    if engine.session.state is State.LIVE:
        for index in range(len(world.old_frames.get("E1", ()))):
            yield f"replay E1 {index}"


def twins(world):
    """Two processes with one engine id, leases, and time."""
    for name, engine in world.engines.items():
        if engine.link is None:
            yield f"join {name} P"
        else:
            yield f"talk {name}"
            yield f"part {name}"
            yield f"cut {name}"
    yield from _people(world, "all")
    yield from _releases(world)
    yield from ("wait 5", "wait 10", "restart")
    yield "reboot E1"


def offices(world):
    """A second platform takes the database; the first does not know it yet."""
    yield from _links(world, whole=True)
    if "Q" in world.platforms:
        yield from _people(world, "all", platform="Q")
        yield from _releases(world, "Q")
        yield from _disks(world, "Q")
        if world.platforms["P"].alive:
            yield "notice"
        yield "restart Q"
    else:
        yield "usurp"
    yield from _people(world, "all", "engine:E1")
    yield from _releases(world)
    yield from _disks(world)
    yield "wait 15"


def engines_own_words(world):
    """What engines say by themselves: stops of their own, damaged latches, lies, waived engines."""
    one = world.platforms["P"]
    yield from _links(world, whole=True)
    yield from _people(world, "all")
    yield from _disks(world)
    for stop_id, entry in one.book.register.open_stops():
        yield f"release {stop_id}"
        if str(entry.scope) == "all":
            yield f"release_waiving {stop_id} E2"
    for name in ("E1",):
        engine = world.engines[name]
        if not engine.disk.spool:
            yield f"halt_itself {name}"
        yield f"reboot {name}"
        yield f"reboot_with_corrupt_latch {name}"
        if engine.link is None and "lie" not in one.book.register.entries:
            yield f"lie {name}"
    yield from ("restart", "lose_journal")


@attrs.frozen
class Profile:
    """``options(world)``: the steps that make sense now. ``roots``: where searches begin, besides at the beginning."""

    options: object
    engines: tuple
    roots: tuple = ((),)


def _from(*histories):
    return ((), *(tuple(history.split(", ")) for history in histories))


PROFILES = {
    "decisions": Profile(decisions, ("E1", "E2"), _from("join E1 P, join E2 P, stop all HALT P")),
    "copies": Profile(
        copies,
        ("E1",),
        _from(
            "stop all HALT P, journal P, base_writes P, ask_release s1 P", "join E1 P, stop all FLATTEN P, journal P"
        ),
    ),
    "frames": Profile(
        frames, ("E1",), _from("join E1 P, stop all HALT P", "join E1 P, stop all HALT P, down E1 1, release s1 P")
    ),
    "twins": Profile(twins, ("E1", "E1'"), _from("join E1 P, wait 10, join E1' P")),
    "offices": Profile(offices, ("E1", "E2"), _from("join E1 P, stop all HALT P, base_writes P, usurp")),
    "engines' own words": Profile(
        engines_own_words, ("E1", "E2"), _from("join E1 P, join E2 P, halt_itself E1, reboot E1")
    ),
}


def small_world(profile, without=frozenset(), root=()):
    return replay(World(PROFILES[profile].engines, without), root)
