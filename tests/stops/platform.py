"""A platform of the small world: the product's book, places and sessions, and what its actors do between them."""

from collections import deque

import attrs

from actors.links.places import LEASE_SECONDS, Place, Verdict, inherited
from actors.stops.book import StopBook
from actors.stops.copies import noted, words_of
from actors.stops.effects import RecordStop, SendRelease, SendStop, StopChanged
from actors.stops.parts import Instant
from actors.stops.plans import ReleasePlan
from actors.stops.releasing import ReleaseDesk
from actors.stops.shelf import StopShelf
from store.journal_records import EpochNoted, ReleaseNoted
from tests.stops import ground, judge
from tests.stops.ground import FOREVER, REPLAYED, START, Ids, noted_view, wall
from wire.messages import Heartbeat, Hello, LocalStop
from wire.parts import Limits
from wire.rest.stops import StopRequest
from wire.session import Acknowledged, CloseCode, CloseLink, Offer, PlatformSession, Received
from wire.stops import Entry, Scope


class Link:
    """One connection and the frames on it, as the engine link actor handles it; not ``open``: the platform left it."""

    def __init__(self, platform, engine):
        self.platform, self.engine, self.engine_id = platform, engine, engine.engine_id
        self.place = platform.place(engine.engine_id)
        self.place.connections += 1
        self.session = PlatformSession(
            engine.engine_id,
            now=platform.world.now,
            connection=self.place.connections,
            clock=wall,
            limits=Limits(window=1024),
            ids=Ids("p"),
        )
        self.up, self.down = deque(), deque()
        self.held = set()
        self.open = True
        self.hello = None
        self.snapshot = None

    def deliver(self):
        while self.open and self.up:
            for event in self.session.receive(self.up.popleft(), self.platform.world.now):
                self.on_event(event)
        self.flush()

    def on_event(self, event):
        match event:
            case Received(message=Hello() as hello):
                self.place.heard = self.platform.world.now if self.place.link is self else self.place.heard
                self.greet(hello)
            case Received(message=Heartbeat() as beat):
                self.place.heard = self.platform.world.now
                self.answer(beat)
            case Received(message=LocalStop() as stop):
                self.held.add(stop.id)
                self.platform.carry_out(self.platform.book.local_stop(self.engine_id, stop, self.platform.instant()))
                self.session.committed(event.seq, self.platform.world.now)
            case Received(seq=int()):
                self.session.committed(event.seq, self.platform.world.now)
            case Acknowledged(ids=ids):
                for name in ids:
                    self.place.stop_letters.pop(name, None)
            case CloseLink():
                self.leave()

    def greet(self, hello):
        """The barrier: the older connection ends, the stops learn of this one; ``welcome`` is the next step."""
        place, now = self.place, self.platform.world.now
        verdict = place.claim(hello.instance, now)
        overtaken = verdict is Verdict.SAME and self.session.connection < place.welcomed
        if verdict is Verdict.IN_USE or overtaken:
            self.session.close(CloseCode.IN_USE if verdict is Verdict.IN_USE else CloseCode.SUPERSEDED)
            self.leave()
            return
        if place.link is not None and place.link is not self:
            place.link.leave()
        self.hello, self.verdict = hello, verdict
        if "a link registers before its snapshot is read" in self.platform.without:
            self.snapshot = self.read_snapshot()
        else:
            self.register()

    def register(self):
        self.platform.shelf.links[self.engine_id] = self
        self.platform.link_up(self, self.hello)
        self.place.take(self.hello.instance, self.verdict, self.platform.world.now)
        if "a twin gets no lease" in self.platform.without:
            self.place.guarded_until = 0.0
        self.place.link, self.place.welcomed = self, self.session.connection
        if self.platform.may_write():
            instance = self.place.surely(self.hello.instance, self.platform.world.now)
            self.platform.base.instances[self.engine_id] = instance

    def read_snapshot(self):
        return self.platform.shelf.snapshot(self.engine_id, [s.stop_id for s in self.hello.stops])

    def welcome(self):
        """From the snapshot to the welcome there is no checkpoint."""
        hello, place, platform = self.hello, self.place, self.platform
        snapshot = self.snapshot or self.read_snapshot()
        detached, place.detached = place.detached, None
        if not self.session.resumable(detached):
            place.epoch += 1
        offer = Offer(
            session=f"{platform.name}{platform.starts}-{self.engine_id}-{place.epoch}",
            epoch=place.epoch,
            platform_id="P",
            term=platform.term,
            stop=snapshot,
            lease_ms=self.lease_ms(place.synced),
            token_expires=FOREVER,
            config_version=0,
        )
        self.held |= {s.stop_id for s in hello.stops}
        judge.welcome(self, hello, snapshot)
        self.hello = None
        for event in self.session.welcome(offer, platform.world.now, detached=detached):
            self.on_event(event)
        if self.snapshot is not None:
            self.hello = hello
            self.register()
            self.hello = self.snapshot = None
        self.flush()

    def answer(self, beat):
        shelf, platform = self.platform.shelf, self.platform
        heard = beat.stop_epoch > platform.book.register.epoch
        self.place.synced = beat.synced
        lease = self.lease_ms(beat.synced)
        snapshot = shelf.snapshot(self.engine_id, self.held)
        if "a heartbeat is answered with the stops" in platform.without:
            snapshot = attrs.evolve(snapshot, effective=[])
        self.session.answer_heartbeat(beat, stop=snapshot, lease_ms=lease)
        account = platform.book.roster.account(self.engine_id)
        repeats = "a heartbeat is answered with the stops" not in platform.without
        if repeats and shelf.differs(self.engine_id, account, beat.stop_epoch, beat.level):
            for message in shelf.book.messages_for(self.engine_id):
                self.send_stop(message)
        if heard:  # the coordinator is told, and learns it after this answer
            platform.book.epoch_seen(beat.stop_epoch)
        platform.unsent -= {(s, e) for s, e in platform.unsent if e == self.engine_id}

    def lease_ms(self, synced):
        place, now = self.place, self.platform.world.now
        if not (synced and self.platform.shelf.is_fresh(now) and now >= place.guarded_until):
            return 0
        place.granted(now)
        return round(LEASE_SECONDS * 1000)

    def send_stop(self, message):
        name = self.platform.letters()
        self.place.remember(name, message.stop_id, message.stop_epoch)
        self.session.send(message, id=name)
        self.held.add(message.stop_id)

    def flush(self):
        if not self.open:
            return
        for event in self.session.tick(self.platform.world.now):
            self.on_event(event)
        frames = self.session.take(self.platform.world.now, limit=1000)
        for frame in frames:
            judge.frame(self, frame)
        if self.engine.link is self:
            self.down.extend(frames)

    def leave(self):
        """What outlives the connection goes back to the place."""
        if not self.open:
            return
        self.open = False
        heard, detached, place = self.session.last_heard, self.session.detach(), self.place
        if place.link is not self:
            return
        place.link = None
        place.heard = heard if heard is not None else place.heard
        if detached is not None:
            place.detached = detached
        self.platform.link_down(self)

    def remember(self):
        self.engine.world.old_frames.setdefault(self.engine.name, deque(maxlen=REPLAYED)).extend(self.down)


@attrs.define(kw_only=True)
class Releasing:
    """A release between its steps. ``valid``: no decision came after it; ``sealed``: it is committed."""

    plan: ReleasePlan
    waived: tuple
    valid: bool = True
    sealed: bool = False


def _sealed(plan):
    records = [noted(k.stop_id, k.entry, k.words) for k in plan.kept]
    return [*records, ReleaseNoted(stop_ids=[plan.stop_id], epoch=plan.epoch, user_id=plan.user_id, at=START)]


class Platform:
    def __init__(self, world, name, home, base):
        self.world, self.name, self.home, self.base = world, name, home, base
        self.without = world.without
        self.starts = 0
        self.letters = Ids(f"{name}-stop-")
        self.start()

    def start(self):
        """As ``actors.platform.opening`` and ``starting`` do it."""
        self.starts += 1
        self.alive = True
        self.base.term += 1
        self.term = self.base.term
        journal, database = self.home.read(), self.base.read()
        start = ground.merge_at_start(journal, database, now=START, new_id=self.world.ids)
        if start.genesis is not None:
            self.home.begin(start.genesis)
            self.base.generation = start.genesis.generation
        self.book = StopBook(start.register, prove=ground.seal, is_ours=ground.is_ours, new_id=self.world.ids)
        for engine_id, account in self.world.accounts.items():
            self.book.engine_known(engine_id, account)
        self.book.roster.is_complete = True
        self.shelf = StopShelf(book=self.book, desk=ReleaseDesk(self.world.ids))
        self.shelf.pulse = self.world.now
        self.places = {}
        self.begun_at, self.predecessors = self.world.now, dict(self.base.instances)
        if "a new platform guards the places of the old" in self.without:
            self.predecessors = {}
        self.to_journal = []
        self.to_save = {}
        self.unsent = set()
        self.releasing = None
        self.book.recover({i: words_of(s) for i, s in start.stops.items()}, self.instant())
        for stop in start.open_stops():
            self.to_save[stop.stop_id] = None
        judge.start(self, journal, database, start)
        if "a release that was not sealed is taken back above it" not in self.without:
            for stop_id, entry in database.register.entries.items():
                known = self.book.register.entries.get(stop_id)
                if not entry.is_open and known is not None and known.is_open:
                    self.carry_out(self.book.reassert(stop_id, "not committed", self.instant()))

    def place(self, engine_id):
        if engine_id not in self.places:
            known = self.predecessors.get(engine_id)
            self.places[engine_id] = Place() if known is None else inherited(known, self.begun_at)
        return self.places[engine_id]

    def crash(self):
        for link in self.links():
            link.open = False
            link.engine.hang_up()
        self.alive = False
        self.places = {}
        self.to_journal, self.to_save, self.releasing = [], {}, None
        judge.platform_gone(self)

    def links(self):
        return [x for x in self.world.links if x.platform is self and x.open]

    def instant(self):
        return Instant(self.world.now, START)

    # --- the coordinator ---

    def carry_out(self, effects):
        """Links first, then what may be slow."""
        for effect in effects:
            match effect:
                case SendStop():
                    self.tell_stop(effect)
                case SendRelease():
                    link = self.shelf.links.get(effect.engine_id)
                    if link is not None and link.open:
                        link.session.send(effect.message)
        for effect in effects:
            match effect:
                case RecordStop():
                    self.to_journal.append(effect)
                    self.to_save[effect.stop_id] = None
                    judge.decided(self, effect)
                case StopChanged():
                    self.to_save[effect.stop_id] = None
        for link in self.links():
            link.flush()
        for run in self.book.runs.values():
            run.timeline.clear()
            run.results.clear()

    def tell_stop(self, effect):
        link = self.shelf.links.get(effect.engine_id)
        if link is not None and link.open:
            link.send_stop(effect.message)

    def take(self, scope, level, *, user="kim", request_id=None):
        request = StopRequest(scope=Scope.parse(scope), level=level, request_id=request_id)
        taken = self.book.take(request, user, self.instant())
        effects = taken.effects
        if "a stop is sent before anything is written" in self.without:
            self.unwritten = [*getattr(self, "unwritten", []), *(e for e in effects if isinstance(e, SendStop))]
            effects = [e for e in effects if not isinstance(e, SendStop)]
        self.carry_out(effects)
        if taken.decided:
            judge.taken(self, taken.stop_id)
            self.void(taken.stop_id)
        return taken.stop_id

    def link_up(self, link, hello):
        stops = [] if "an unknown stop is opened again" in self.without else hello.stops
        before = set(self.book.register.entries)
        effects = self.book.link_up(link.engine_id, stops, hello.latch, self.instant(), mode=hello.trading_mode)
        self.carry_out(effects)
        for stop_id in set(self.book.register.entries) - before:
            self.void(stop_id)

    def link_down(self, link):
        if self.shelf.links.get(link.engine_id) is link:
            del self.shelf.links[link.engine_id]
            self.carry_out(self.book.link_down(link.engine_id, self.instant()))

    # --- the two durable copies ---

    def write_journal(self):
        if not self.home.works:
            return
        for effect in self.to_journal:
            self.home.synced = (*self.home.synced, noted(effect.stop_id, effect.entry, effect.words))
            judge.durable(self, effect.stop_id, effect.entry)
            self.book.became_durable(effect.stop_id, effect.entry.stop_epoch)
        self.to_journal = []
        sends, self.unwritten = getattr(self, "unwritten", []), []
        self.carry_out(sends)

    def write_base(self):
        if not self.may_write():
            return
        for stop_id in self.to_save:
            view = self.book.view(stop_id)
            entry = Entry(view.scope, view.level, view.epoch)
            self.base.save(stop_id, entry, noted_view(view))
            judge.durable(self, stop_id, entry)
            self.book.became_durable(stop_id, view.epoch)
        self.to_save = {}

    def may_write(self):
        usurped = self.term != self.base.term and "every epoch write compares the term" not in self.without
        return self.base.works and not usurped

    # --- a release, in its three steps ---

    def begin_release(self, stop_id, waived=()):
        """Checks → the stop and its epoch in the journal → database and audit. Fails: 503, and still stopped."""
        plan = self.book.plan_release(
            stop_id, waived, resume=True, user_id="lee", reason="ok", now=self.instant()
        )  # fmt: skip
        if not self.may_write():
            return
        self.keep_stop(stop_id)
        if "a release is in the database before the journal" not in self.without:
            if not self.home.works:
                self.take_back(plan)
                return
            stop = noted(stop_id, self.book.register.entries[stop_id], self.book.runs[stop_id].words)
            if "a release writes its stop into the journal first" in self.without:
                stop = EpochNoted(epoch=plan.epoch, term=self.term, at=START)
            self.home.synced = (*self.home.synced, stop, EpochNoted(epoch=plan.epoch, term=self.term, at=START))
            self.release_in_base(plan)
        self.releasing = Releasing(plan=plan, waived=waived)

    def keep_stop(self, stop_id):
        """A request is about a stop that the database has."""
        view = self.book.view(stop_id)
        entry = Entry(view.scope, view.level, view.epoch)
        self.base.save(stop_id, entry, noted_view(view))
        judge.durable(self, stop_id, entry)
        self.book.became_durable(stop_id, view.epoch)

    def release_in_base(self, plan):
        for kept in plan.kept:
            self.base.save(kept.stop_id, kept.entry, noted(kept.stop_id, kept.entry, kept.words))
        self.base.register = self.base.register.with_release([plan.stop_id], plan.epoch)

    def seal_release(self):
        """Journal: the commit point. Anything else, and the stop outlives it at a higher epoch."""
        plan = self.releasing.plan
        if "a release reaches memory after the journal" in self.without:
            self.carry_out(self.book.apply_release(plan, self.instant()))
            judge.holds(self)
        late = "a release is in the database before the journal" in self.without
        if self.releasing.valid and self.home.works:
            self.home.synced = (*self.home.synced, *_sealed(plan))
            if not late or self.may_write():
                judge.released(self, plan)
                self.releasing.sealed = True
                return
        self.releasing = None
        self.take_back(plan)

    def take_back(self, plan):
        self.carry_out(self.book.reassert(plan.stop_id, "not durable", self.instant(), kept=plan.kept))
        for kept in plan.kept:
            judge.kept(self, kept)

    def finish_release(self):
        """Memory → links."""
        done, self.releasing = self.releasing, None
        self.carry_out(self.book.apply_release(done.plan, self.instant()))
        for kept in done.plan.kept:
            judge.kept(self, kept)
        judge.waived(self, done)

    def void(self, stop_id):
        """A decision after the request: what was asked before it is worth nothing."""
        if self.releasing is not None and "a later decision voids a release" not in self.without:
            self.releasing.valid = False
