"""What must hold in every state of the small world, from the outside: the judge keeps its own record of what was
wanted, promised, confirmed and released, and never asks the rule that it judges.

Physics is allowed for: a stop covers an engine from its receipt; an engine that hears nothing may go on until its lease
runs out; what was never on stable storage nor in any latch is gone with the process that knew it.
"""

import json

import attrs

from actors.links.places import LEASE_SECONDS
from store.journal_records import JournalState
from tests.stops.ground import KEY
from wire.messages import EmergencyStop, HeartbeatAck, LocalStop, Release, Welcome
from wire.proof import check
from wire.session import Received, State
from wire.stops import Level, Scope, ScopeKind
from wire.values import LatchState

USURPED_SECONDS = 10.0
"""How much later a platform may find out that another has its database."""


class Violation(AssertionError):
    """The world is as it must never be."""


@attrs.define
class Truth:
    """``since``: when a stop began to hold; ``promised``: epoch and level that an operator was told are durable."""

    scope: dict = attrs.field(factory=dict)
    level: dict = attrs.field(factory=dict)
    since: dict = attrs.field(factory=dict)
    promised: dict = attrs.field(factory=dict)
    released: dict = attrs.field(factory=dict)

    def ended(self, stop_id, epoch):
        return self.released.get(stop_id, -1) >= epoch


def stops_in(message):
    """The stops that a message says are in force."""
    match message:
        case EmergencyStop():
            return [message.record()]
        case Welcome(stop=stop) | HeartbeatAck(stop=stop):
            return stop.effective
        case Release(effective=effective):
            return effective
    return []


# --- what happened ----------------------------------------------------------------------------------------------------


def decided(platform, effect):
    truth, entry, stop_id = platform.world.truth, effect.entry, effect.stop_id
    known = truth.scope.get(stop_id)
    if known is None and effect.words.cause == "reopened" and entry.scope.kind is not ScopeKind.ENGINE:
        raise Violation(f"{effect.words.user_id} stopped {entry.scope} with a stop that nobody ever took")
    if known is not None and known != entry.scope:
        raise Violation(f"the scope of {stop_id} was {known} and is {entry.scope}")
    truth.scope[stop_id] = entry.scope
    truth.level[stop_id] = max(entry.level, truth.level.get(stop_id, Level.NORMAL))
    truth.since.setdefault(stop_id, platform.world.now)
    before = platform.owes.get(stop_id, (0, Level.NORMAL))[1]
    platform.owes[stop_id] = (entry.stop_epoch, max(entry.level, before))


def taken(platform, stop_id):
    """A person's decision has an epoch above everything its platform knows."""
    entry = platform.book.register.entries[stop_id]
    if entry.stop_epoch <= _highest_but(platform.book.register, stop_id):
        raise Violation(f"{stop_id} was given epoch {entry.stop_epoch}, which is not above everything known")


def local(engine):
    for stop in engine.halting.latch.open_stops():
        engine.world.truth.scope.setdefault(stop.record.stop_id, stop.record.scope)
        engine.heard[stop.record.stop_id] = stop.record.stop_epoch


def durable(platform, stop_id, entry):
    platform.world.truth.promised[stop_id] = (entry.stop_epoch, entry.level)


def released(platform, plan):
    truth = platform.world.truth
    later = [i for i, (epoch, _) in platform.owes.items() if epoch > plan.epoch]
    if later:
        raise Violation(f"the release of {plan.stop_id} is committed although {later[0]} was decided after it")
    truth.released[plan.stop_id] = max(plan.epoch, truth.released.get(plan.stop_id, 0))
    truth.since.pop(plan.stop_id, None)
    if _is_usurped(platform):
        raise Violation(f"{platform.name} released {plan.stop_id} although another platform has its database")
    if (now := platform.owes.get(plan.stop_id)) is not None and now[0] > plan.epoch:
        truth.since[plan.stop_id] = platform.world.now


def waived(platform, done):
    """Whoever was waived is stopped as before, by a stop of its own; what was released counts from here."""
    truth, stop_id = platform.world.truth, done.plan.stop_id
    platform.ended[stop_id] = max(done.plan.epoch, platform.ended.get(stop_id, 0))
    for engine_id in done.waived:
        level = platform.book.register.engine_level(engine_id, platform.world.accounts[engine_id])
        if level < truth.level[stop_id]:
            raise Violation(f"{engine_id} was waived, and nothing holds it any more")


def kept(platform, plan_kept):
    """A waived engine keeps a stop of its own, as durable as the release; one that it had already is no weaker now."""
    truth, stop_id, entry = platform.world.truth, plan_kept.stop_id, plan_kept.entry
    level = max(entry.level, truth.level.get(stop_id, Level.NORMAL))
    epoch, owed = platform.owes.get(stop_id, (0, Level.NORMAL))
    truth.scope[stop_id], truth.level[stop_id] = entry.scope, level
    truth.since.setdefault(stop_id, platform.world.now)
    promised, told = truth.promised.get(stop_id, (0, Level.NORMAL))
    truth.promised[stop_id] = (max(entry.stop_epoch, promised), max(entry.level, told))
    platform.owes[stop_id] = (max(entry.stop_epoch, epoch), max(entry.level, owed))


def platform_gone(platform):
    """What only its memory knew is nobody's promise any more."""
    truth, written = platform.world.truth, platform.home.replayed().register.entries
    kept_somewhere = {*written, *platform.base.register.entries}
    for other in platform.world.platforms.values():
        if other is not platform and other.alive:
            kept_somewhere |= set(other.book.register.entries)
    for stop_id in list(truth.since):
        if stop_id not in kept_somewhere:
            del truth.since[stop_id]


def start(platform, journal, database, begun):
    """Whatever was promised and is left in a copy is open; what cannot be known is covered by HALT on everything."""
    truth, register = platform.world.truth, begun.register
    platform.owes, platform.ended = {}, {}
    written = journal.replayed()
    everything = max((e.level for _, e in register.open_stops() if e.scope.kind is ScopeKind.ALL), default=Level.NORMAL)
    believed = journal.state is JournalState.VERIFIED and not begun.findings
    is_older = _highest(database.register) > _highest(written.register)
    if journal.state is JournalState.VERIFIED and is_older and everything < Level.HALT:
        raise Violation("the database knows more than the journal, and nothing halts everything")
    for stop_id, (epoch, level) in list(truth.promised.items()):
        entry = register.entries.get(stop_id)
        copies = [r.entries[stop_id] for r in (written.register, database.register) if stop_id in r.entries]
        if truth.ended(stop_id, epoch):
            if entry is not None and not entry.is_open:
                platform.ended[stop_id] = entry.released_epoch
            if believed and entry is not None and entry.is_open and written.releases.get(stop_id, 0) >= epoch:
                raise Violation(f"{stop_id} was released at {written.releases[stop_id]} and is open after a start")
            continue
        if not believed:
            if everything < min(level, Level.HALT):
                raise Violation(f"the journal is {journal.state.value} and does not halt everything")
            if not any(c.is_open for c in copies):
                # Whether its release was committed cannot be known; the HALT holds in its place.
                del truth.promised[stop_id]
                truth.since.pop(stop_id, None)
                truth.released[stop_id] = max([epoch, *(c.released_epoch or 0 for c in copies)])
                continue
        elif not any(c.is_open or c.stop_epoch >= epoch for c in copies):
            continue  # every copy that had it was destroyed
        wanted = max(c.level for c in copies if believed or c.is_open)
        if entry is None or not entry.is_open:
            raise Violation(f"{stop_id} was promised to be durable and is forgotten by a start")
        if entry.level < wanted:
            raise Violation(f"{stop_id} was {wanted.value} in a copy and is {entry.level.value} after a start")
        platform.owes[stop_id] = (entry.stop_epoch, entry.level)
    if not believed:
        _only_elsewhere(truth, {*written.register.entries, *database.register.entries})
    if (lost := begun.lost_journal) is not None:
        truth.promised[lost.stop_id] = platform.owes[lost.stop_id] = (lost.stop_epoch, lost.level)
    for stop_id, entry in register.open_stops():
        if stop_id not in truth.scope:
            truth.scope[stop_id], truth.level[stop_id] = entry.scope, entry.level
        truth.since.setdefault(stop_id, platform.world.now)
    if register.epoch < max(_highest(written.register), _highest(database.register)):
        raise Violation("a start knows of lower epochs than its copies")


def _only_elsewhere(truth, known):
    """A stop that only another platform's memory has, and nobody was promised: the HALT for what cannot be known holds
    in its place, until a person releases that."""
    for stop_id in list(truth.since):
        if stop_id not in truth.promised and stop_id not in known:
            del truth.since[stop_id]


def _highest(register):
    entries = register.entries.values()
    return max([register.floor, *(max(e.stop_epoch, e.released_epoch or 0) for e in entries)])


def _highest_but(register, stop_id):
    """The highest epoch of every other stop, and of every release."""
    stops = [e.stop_epoch for i, e in register.entries.items() if i != stop_id]
    return max([0, *stops, *(e.released_epoch or 0 for e in register.entries.values())])


def booted(one, state):
    """What a damaged latch held is not known, so it halts."""
    if state is LatchState.CORRUPT and one.gate.engine_level() < Level.HALT:
        raise Violation(f"the latch of {one.name} was damaged and it did not halt itself")


def told(one, message):
    """The platform has confirmed a stop of the engine's own."""
    if isinstance(message, LocalStop) and message.id not in one.link.platform.book.register.entries:
        raise Violation(f"{one.name} stopped itself, and its platform confirmed that without knowing it")


# --- what is said -----------------------------------------------------------------------------------------------------


def welcome(link, hello, snapshot):
    """Every stop of a hello is answered: open again (its scope if it is proven), or released by the register."""
    book = link.platform.book
    names = book._names.get(link.engine_id, {})
    for record in hello.stops:
        entry = book.register.entries.get(names.get(record.stop_id, record.stop_id))
        if entry is None:
            raise Violation(f"{record.stop_id} of a latch is not known after the welcome")
        if not entry.is_open:
            if (entry.released_epoch or 0) < record.stop_epoch:
                raise Violation(f"{record.stop_id}@{record.stop_epoch} of a latch is not open after the welcome")
            continue
        scope = record.scope if check(KEY, "P", record) else Scope.of_engine(link.engine_id)
        if entry.scope != scope and record.stop_id not in link.platform.world.truth.scope:
            raise Violation(f"{record.stop_id} came back over {entry.scope} instead of {scope}")
        if check(KEY, "P", record) and (entry.scope != record.scope or entry.level < record.level):
            raise Violation(f"{record.stop_id} came back as {entry.level.value} of {entry.scope}")
        if snapshot.epoch < record.stop_epoch:
            raise Violation(f"the epoch of a welcome is below {record.stop_id}@{record.stop_epoch}")


def frame(link, text):
    """No frame that is written now names a stop that its writer knows to be released."""
    if '"stop_id"' not in text:
        return
    plain = json.loads(text)["payload"]
    said = [plain] if "stop_epoch" in plain and "scope" in plain else []
    said += plain.get("effective", []) if isinstance(plain.get("effective"), list) else []
    said += plain["stop"]["effective"] if isinstance(plain.get("stop"), dict) else []
    for record in said:
        entry = link.platform.book.register.entries.get(record["stop_id"])
        if entry is not None and not entry.is_open and (entry.released_epoch or 0) >= record["stop_epoch"]:
            raise Violation(f"{record['stop_id']}@{record['stop_epoch']} is sent after its release")


def lease_is_of_one_who_knows(engine, events, known):
    """A lease comes with a frame that knows at least what the engine knew before it."""
    for event in events:
        said = event.message if isinstance(event, Received) else None
        if isinstance(said, Welcome | HeartbeatAck) and said.stop.epoch < known:
            raise Violation(f"{engine.name} takes a lease of a frame at {said.stop.epoch}, below {known}")


# --- what is ----------------------------------------------------------------------------------------------------------


def engine(one):
    """What one process has heard, confirmed and let go."""
    truth = one.world.truth
    if one.may_open():
        for stop_id, epoch in one.heard.items():
            if not truth.ended(stop_id, epoch) and _covers(truth, stop_id, one):
                raise Violation(f"{one.name} may open orders although it has received {stop_id}")
    for stop_id, epoch in one.confirmed.items():
        if truth.ended(stop_id, epoch):
            continue
        kept_stop = one.disk.latch.find(stop_id) if one.disk.latch is not None else None
        if kept_stop is None or not kept_stop.is_open or kept_stop.record.stop_epoch < epoch:
            raise Violation(f"{one.name} has confirmed {stop_id}@{epoch}, and its latch does not hold it")
    for stop_id, epoch in one.let_go.items():
        entry = one.gate.register.entries.get(stop_id)
        if entry is not None and entry.is_open and entry.stop_epoch <= epoch:
            raise Violation(f"{one.name} executes {stop_id}@{entry.stop_epoch} again after its release")


def world(all_of_it):
    truth = all_of_it.truth
    for platform in all_of_it.platforms.values():
        if platform.alive:
            holds(platform)
    for one in all_of_it.engines.values():
        engine(one)
        if one.may_open():
            _may(one, truth, all_of_it)


def holds(platform):
    """What it decided, learned or started with is open, until a release of it is committed; and then never again."""
    truth = platform.world.truth
    for stop_id, released_epoch in platform.ended.items():
        entry = platform.book.register.entries.get(stop_id)
        if entry is not None and entry.is_open and entry.stop_epoch <= released_epoch:
            raise Violation(f"{platform.name} holds {stop_id}@{entry.stop_epoch} again after its release")
    for stop_id, (epoch, level) in platform.owes.items():
        if truth.ended(stop_id, epoch):
            continue
        entry = platform.book.register.entries.get(stop_id)
        if entry is None or not entry.is_open:
            raise Violation(f"{platform.name} holds {stop_id} no more, and nobody released it")
        if entry.level < level:
            raise Violation(f"{platform.name} holds {stop_id} at {entry.level.value} only; it was {level.value}")


def _may(one, truth, all_of_it):
    """It may open orders. Nobody who holds a stop for it has told it everything, or told it long enough ago."""
    link, now = one.link, all_of_it.now
    if link is not None and link.open and link.platform.alive and not link.down and _both_live(one, link):
        for stop_id, entry in link.platform.book.register.open_stops():
            unsent = (stop_id, one.engine_id) in link.platform.unsent
            if _is_usurped(link.platform) and truth.ended(stop_id, entry.stop_epoch):
                continue  # released by the platform that has its database now
            if entry.level >= Level.HALT and entry.scope.concerns(one.engine_id, one.account) and not unsent:
                raise Violation(f"{one.name} is connected, has heard everything, and may open orders under {stop_id}")
    grace = LEASE_SECONDS + (USURPED_SECONDS if len(all_of_it.platforms) > 1 else 0.0)
    for stop_id, since in truth.since.items():
        if now >= since + grace and _covers(truth, stop_id, one):
            raise Violation(f"{one.name} may open orders {now - since:g} s after {stop_id}")
    for other in all_of_it.engines.values():
        if other is not one and other.engine_id == one.engine_id and other.may_open():
            raise Violation(f"{one.name} and {other.name} may both open orders in one account")


def _is_usurped(platform):
    return platform.term != platform.base.term


def _both_live(one, link):
    return one.session.state is State.LIVE and link.session.state is State.LIVE


def _covers(truth, stop_id, one):
    scope = truth.scope.get(stop_id)
    level = truth.level.get(stop_id, Level.HALT)
    return scope is not None and level >= Level.HALT and scope.concerns(one.engine_id, one.account)
