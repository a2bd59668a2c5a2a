"""A world small enough to be searched whole: platforms, engines, their disks, and the frames between them.

Everything that decides is the product's own: register, book, both sessions with their outboxes, places, latch, lease,
gate and halting, the journal's records and the rule of the start. What is added here is only what actors do between
them (in the order in which they do it), disks that forget what was not synced, wires that hold frames, and a clock that
moves when it is told to. A rule is left out by a name in ``world.without``, or by a patch of the class that has it.

After every step the world is judged (``tests.stops.judge``); what it must not be raises Violation.
"""

import json
import math
from collections import deque

from store.journal_records import JournalState
from tests.stops import judge
from tests.stops.engine import Engine
from tests.stops.ground import REPLAYED, Base, Home, Ids
from tests.stops.judge import Truth
from tests.stops.platform import Link, Platform
from wire.stops import Level, Register, Scope, StopRecord
from wire.values import LocalStopCause


class World:
    """``engines``: names; a name with a stroke (E1') is a second process with the same engine id."""

    def __init__(self, engines=("E1", "E2"), without=frozenset()):
        self.now = 0.0
        self.without = frozenset(without)
        self.ids = Ids("s")
        self.truth = Truth()
        self.old_frames = {}
        self.links = []
        self.usurped_at = math.inf
        self.accounts = {name.rstrip("'"): f"A{name.rstrip(chr(39))[1:]}" for name in engines}
        self.base = Base()
        self.base.register = Register()
        self.platforms = {"P": Platform(self, "P", Home(), self.base)}
        self.engines = {name: Engine(self, name, name.rstrip("'")) for name in engines}

    def do(self, step):
        """One step by its text: ``verb``, then its arguments."""
        verb, *arguments = step.split()
        getattr(self, verb)(*arguments)
        for platform in self.platforms.values():
            platform.shelf.pulse = self.now
        self.links = [x for x in self.links if x.open or x.engine.link is x]
        judge.world(self)

    # --- connections ---

    def dial(self, name, platform="P"):
        engine = self.engines[name]
        link = Link(self.platforms[platform], engine)
        self.links.append(link)
        engine.dial(link)

    def up(self, name):
        """Everything the engine has said arrives; a hello is taken, and its welcome waits for ``greet``."""
        self.engines[name].link.deliver()

    def greet(self, name):
        self.engines[name].link.welcome()

    def down(self, name, count="99"):
        """Everything (or so many frames) that is on its way arrives at the engine."""
        engine = self.engines[name]
        for _ in range(int(count)):
            link = engine.link
            if link is None or not link.down:
                break
            frame = link.down.popleft()
            self.old_frames.setdefault(name, deque(maxlen=REPLAYED)).append(frame)
            engine.receive(frame)
        engine.flush()

    def save(self, name):
        engine = self.engines[name]
        engine.save()
        self.now += 0.25  # an acknowledgement is late by at most 200 ms
        engine.flush()

    def join(self, name, platform="P"):
        """A whole connection at once, until nothing more is said."""
        self.dial(name, platform)
        self.talk(name)

    def talk(self, name):
        engine = self.engines[name]
        for _ in range(6):
            link = engine.link
            if link is None:
                return
            if link.up:
                link.deliver()
            if link.open and link.hello is not None:
                link.welcome()
            self.down(name)
            if engine.unsaved:
                self.save(name)
                link.flush()
            engine.flush()
            if engine.link is None or not (link.up or link.down):
                return

    def cut(self, name):
        """Both ends notice."""
        link = self.engines[name].link
        self.engines[name].hang_up()
        link.leave()

    def part(self, name):
        """The engine notices, the platform does not."""
        self.engines[name].hang_up()

    def replay(self, name, index):
        """A frame of earlier is heard once more."""
        engine = self.engines[name]
        engine.receive(self.old_frames[name][int(index)])
        engine.flush()

    # --- people ---

    def stop(self, scope, level, platform="P"):
        self.platforms[platform].take(scope, Level(level))

    def stop_unsent(self, scope, level):
        """The coordinator ends after the decision and before the links were told."""
        platform = self.platforms["P"]
        platform.tell_stop = lambda _effect: None
        try:
            stop_id = platform.take(scope, Level(level))
        finally:
            del platform.tell_stop
        platform.unsent |= {(stop_id, engine_id) for engine_id in self.accounts}

    def release(self, stop_id, platform="P", waived=()):
        one = self.platforms[platform]
        one.begin_release(stop_id, waived)
        if one.releasing is not None:
            one.seal_release()
        if one.releasing is not None:
            one.finish_release()

    def release_waiving(self, stop_id, engine_id):
        self.release(stop_id, waived=(engine_id,))

    def ask_release(self, stop_id, platform="P"):
        self.platforms[platform].begin_release(stop_id)

    def seal(self, platform="P"):
        self.platforms[platform].seal_release()

    def finish(self, platform="P"):
        self.platforms[platform].finish_release()

    # --- disks ---

    def journal(self, platform="P"):
        self.platforms[platform].write_journal()

    def base_writes(self, platform="P"):
        self.platforms[platform].write_base()

    def journal_fails(self):
        self.platforms["P"].home.works = False

    def base_fails(self):
        self.base.works = False

    # --- ends and beginnings ---

    def restart(self, platform="P"):
        self.platforms[platform].crash()
        self.platforms[platform].home.works = self.base.works = True
        self.platforms[platform].start()

    def lose_journal(self):
        platform = self.platforms["P"]
        platform.crash()
        platform.home.synced, platform.home.state, platform.home.works = (), JournalState.NEW, True
        platform.start()

    def tear_journal(self):
        """The last record is only half there."""
        platform = self.platforms["P"]
        platform.crash()
        platform.home.synced, platform.home.state = platform.home.synced[:-1], JournalState.TORN
        platform.home.works = True
        platform.start()

    def set_back_journal(self):
        """An older journal stands in the place of the newest."""
        platform = self.platforms["P"]
        platform.crash()
        platform.home.synced, platform.home.works = platform.home.synced[:1], True
        platform.start()

    def lose_base(self):
        """The database is set back to its beginning; its identity stays."""
        platform = self.platforms["P"]
        platform.crash()
        self.base.register, self.base.details, self.base.works = Register(), {}, True
        platform.start()

    def lose_both(self):
        platform = self.platforms["P"]
        platform.crash()
        platform.home.synced, platform.home.state, platform.home.works = (), JournalState.NEW, True
        self.base.register, self.base.details, self.base.works = Register(), {}, True
        platform.start()

    def usurp(self):
        """A second platform, with a home of its own, takes the database."""
        self.platforms["Q"] = Platform(self, "Q", Home(), self.base)
        self.usurped_at = self.now

    def notice(self):
        """The first finds out, and ends."""
        self.platforms["P"].crash()

    def reboot(self, name):
        self._drop(name)
        self.engines[name].boot()

    def reboot_without_latch(self, name):
        self._drop(name)
        engine = self.engines[name]
        engine.disk.latch, engine.confirmed = None, {}
        engine.boot()

    def reboot_with_corrupt_latch(self, name):
        self._drop(name)
        engine = self.engines[name]
        engine.disk.corrupt, engine.confirmed = True, {}
        engine.boot()

    def _drop(self, name):
        engine = self.engines[name]
        link = engine.link
        engine.hang_up()
        if link is not None:
            link.leave()

    # --- engines' own words ---

    def halt_itself(self, name):
        engine = self.engines[name]
        with engine.named():
            engine.halting.stop_here(Level.HALT, LocalStopCause.RISK, "its own limit")
        judge.local(engine)
        engine.flush()

    def lie(self, name):
        """The engine says hello with a stop of everything that nobody took."""
        engine = self.engines[name]
        record = StopRecord(stop_id="lie", scope=Scope.everything(), level=Level.HALT, stop_epoch=9, proof="f" * 64)
        self.dial(name)
        link = engine.link
        for frame in list(link.up):
            plain = json.loads(frame)
            if plain["type"] == "hello":
                plain["payload"]["stops"].append(
                    {"stop_id": "lie", "scope": "all", "level": "HALT", "stop_epoch": 9, "proof": record.proof}
                )
                link.up[link.up.index(frame)] = json.dumps(plain)
        self.talk(name)

    # --- time ---

    def wait(self, seconds):
        self.now += float(seconds)
        first = self.platforms["P"]
        if first.alive and self.now >= self.usurped_at + judge.USURPED_SECONDS:
            self.notice()
        for platform in self.platforms.values():
            platform.shelf.pulse = self.now
        for engine in self.engines.values():
            engine.lease.tick(self.now)
            engine.flush()
        for link in list(self.links):
            link.flush()
