"""An engine of the small world: conversation, session, gate, lease, latch, halting and keepers, without a driver."""

from pathlib import Path
from unittest import mock

from actors.links.places import LEASE_SECONDS
from tests.stops import judge
from tests.stops.ground import START, EngineDisk, wall
from wire.dialing import LinkClosed
from wire.messages import Hello, LocalStop, Release
from wire.parts import Clocks
from wire.sdk.conversation import Conversation, Parts
from wire.sdk.gate import Gate, Intent, Purpose
from wire.sdk.halting import Halting
from wire.sdk.identity import Identity
from wire.sdk.keeper import Keeper
from wire.sdk.lease import Lease
from wire.sdk.outlet import Spooled
from wire.sdk.platform import Credential
from wire.sdk.settings import Settings
from wire.sdk.work import Outcome
from wire.session import EngineSession, LeaseGranted, Received, State
from wire.values import LatchState, Side, TradingMode

ORDER = Intent(order_id="o", purpose=Purpose.ORDER, strategy_id=None, symbol="005930", side=Side.BUY, quantity=1)
CUT = LinkClosed(1006)


class SyncedGate(Gate):
    """Its books always agree with the broker: this world is about stops."""

    synced = True


def nothing_reduces(_strategy, _symbol, _side):
    return 0


def no_clocks():
    return Clocks()


def ignore(*_arguments):
    """What the small world does not look at."""


class Silence:
    """A log that nobody reads."""

    def log(self, *_words):
        return None

    info = warning = error = log


class Quiet:
    """An engine without orders of its own."""

    def freeze(self, *_what):
        return None

    def orphaned(self):
        return []

    def unresolved(self, _scope):
        return 0


class EngineClock:
    def __init__(self, world):
        self.world = world

    def now(self):
        return self.world.now

    def wall(self):
        return START


class Outlet:
    """The lossless way out, durable at once; only a stop of the engine's own is of interest here."""

    def __init__(self, engine):
        self.engine = engine
        self.fresh = []
        self.wake = ignore

    def send(self, message):
        if isinstance(message, LocalStop):
            name = f"spool-{message.id}"
            self.engine.disk.spool[name] = message
            self.fresh.append(name)

    def rewind(self):
        self.fresh = list(self.engine.disk.spool)

    def take_latest(self):
        return []

    def take_fresh(self, _limit):
        names, self.fresh = self.fresh, []
        return [Spooled(id=name, message=self.engine.disk.spool[name]) for name in names]

    def acknowledged(self, ids):
        for name in ids:
            judge.told(self.engine, self.engine.disk.spool.pop(name, None))


class Watched(Conversation):
    """Judged after every single event: nothing may open for an instant only."""

    def __init__(self, engine, parts):
        super().__init__(parts, rng=ignore)
        self.engine = engine
        self._session._clock = wall

    def _take(self, events):
        engine = self.engine
        for event in events:
            if isinstance(event, Received):
                engine.hears(event.message)
        if "a stop is applied before its lease" in engine.world.without:
            events = sorted(events, key=lambda e: not isinstance(e, LeaseGranted))
        known = engine.gate.register.epoch
        for event in events:
            if isinstance(event, LeaseGranted):
                judge.lease_is_of_one_who_knows(engine, events, known)
            super()._take([event])
            if isinstance(event, Received):
                engine.received(event)
            judge.engine(engine)

    @property
    def session(self) -> EngineSession:
        return self._session


class Engine:
    """One process on one machine. ``name`` tells two processes with one ``engine_id`` apart."""

    outlet_class = Outlet

    def __init__(self, world, name, engine_id):
        self.world, self.name, self.engine_id = world, name, engine_id
        self.account = world.accounts[engine_id]
        self.disk = EngineDisk()
        self.starts = 0
        self.heard = {}  # stop -> the highest epoch in any frame that this process has received
        self.confirmed = {}  # stop -> the highest epoch this machine has said to be in its latch
        self.let_go = {}
        self.boot()

    def boot(self):
        self.starts += 1
        self.link = None
        self.heard, self.let_go, self.unconfirmed = {}, {}, []
        state, latch = self.disk.load()
        seen = LatchState.ABSENT if "a corrupt latch halts its engine" in self.world.without else state
        self.lease = Lease()
        if "an engine boots halted" in self.world.without:
            self.lease.renew(self.world.now + LEASE_SECONDS, self.world.now)
        self.gate = SyncedGate(
            engine_id=self.engine_id, account_id=self.account, lease=self.lease, reducible=nothing_reduces
        )
        self.keeper = Keeper(encode=self.encode, write=self.write, failed=ignore)
        settings = Keeper(encode=self.encode, write=ignore, failed=ignore)
        clock, outlet = EngineClock(self.world), self.outlet_class(self)
        self.halting = Halting(
            identity=Identity(engine_id=self.engine_id, account_id=self.account, name=self.name),
            clock=clock,
            gate=self.gate,
            outlet=outlet,
            trading=Quiet(),
            latch=latch,
            state=seen,
            keeper=self.keeper,
            settings=Settings(Path("unused")),
            settings_keeper=settings,
            strategies=(),
        )
        credential = Credential(
            engine_id=self.engine_id, secret="s", account_id=self.account, http_url="", ws_url="", platform_id="P"
        )
        parts = Parts(
            credential=credential,
            clock=clock,
            outlet=outlet,
            gate=self.gate,
            lease=self.lease,
            halting=self.halting,
            latch_keeper=self.keeper,
            settings_keeper=settings,
            hello=self.hello,
            clocks=no_clocks,
            parameters=ignore,
            config_changed=ignore,
            log=Silence(),
        )
        self.talks = Watched(self, parts)
        with self.named():
            self.halting.resume()
        judge.booted(self, state)

    def boot_again(self):
        """The process ended, and what was not on its disk is gone."""
        self.boot()

    def named(self):
        """Stops of its own get names that are the same in every run."""
        return mock.patch("wire.sdk.halting.new_id", self.world.ids)

    @property
    def session(self):
        return self.talks.session

    @property
    def unsaved(self):
        return not self.keeper.is_safe

    # --- what it says ---

    def hello(self, resume):
        return Hello(
            protocol="1",
            instance=f"{self.name}#{self.starts}",
            name=self.engine_id,
            version="1",
            trading_mode=TradingMode.PAPER,
            stops=[s.record for s in self.halting.latch.open_stops()],
            latch=self.halting.latch_state,
            resume=resume,
        )

    def may_open(self):
        return not self.gate.would_refuse(ORDER, self.world.now)

    # --- what it hears ---

    def hears(self, message):
        for record in judge.stops_in(message):
            self.heard[record.stop_id] = max(record.stop_epoch, self.heard.get(record.stop_id, 0))

    def received(self, event):
        """The judge's own notes of what was let go, and of what will have been confirmed."""
        stop = getattr(event.message, "stop", None)
        if stop is not None:
            self.note_release(stop.released)
        if isinstance(event.message, Release):
            self.note_release(event.message.stop_ids)
        if event.seq is not None:
            if "the latch is written before the ack" in self.world.without:
                self.keeper.safe = self.keeper.version
                self.talks._confirm()
            self.unconfirmed.append(event)
            self.note_confirmed()

    def note_release(self, stop_ids):
        for stop_id in stop_ids:
            known = self.gate.register.entries.get(stop_id)
            if known is not None and not known.is_open:
                self.let_go[stop_id] = max(known.released_epoch, self.let_go.get(stop_id, 0))

    def note_confirmed(self):
        committed = self.session.inbound.committed
        for event in self.unconfirmed:
            if event.connection == self.session.connection and event.seq <= committed:
                for record in judge.stops_in(event.message):
                    self.confirmed[record.stop_id] = max(record.stop_epoch, self.confirmed.get(record.stop_id, 0))
        self.unconfirmed = [
            e for e in self.unconfirmed if e.connection == self.session.connection and e.seq > committed
        ]

    def encode(self):
        return self.halting.latch

    def write(self, latch):
        self.disk.latch = latch

    def save(self):
        """The latch reaches the disk; what waited for that is confirmed."""
        job = self.keeper.next(self.world.now)
        if job is not None:
            job.work()
            job.then(Outcome(), self.world.now)
        self.note_confirmed()

    # --- the wire ---

    def dial(self, link):
        self.link = link
        self.talks.connected()
        self.flush()

    def receive(self, frame):
        self.talks.receive(frame)
        self.end_if_over()

    def flush(self):
        while self.link is not None and self.session.state is not State.IDLE:
            frames = self.talks.frames()
            self.link.up.extend(frames)
            self.end_if_over()
            if not frames:
                return

    def end_if_over(self):
        if self.talks.closing is not None:
            self.hang_up()

    def hang_up(self):
        if self.link is not None:
            link, self.link = self.link, None
            link.remember()
            self.talks.lost(CUT)
            self.talks.disconnected()
