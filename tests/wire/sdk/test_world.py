"""The engine's whole end against the platform's real session in a world without time, network or luck of its own.

Both sides are pure, so a seed is a story: frames that arrive late, connections and processes that die at any step, a
disk that refuses, stops and releases at any moment, orders at every one. What must hold is looked at after every step.
"""

import json
import os
import random
from collections import deque
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from wire.dialing import LinkClosed
from wire.messages import EmergencyStop, Heartbeat, Hello, LocalStop, Release, StopProgress
from wire.parts import LeaseExpiry, Limits
from wire.sdk import GateClosed, Level, Position, Reading, Scope, WorkingAtBroker
from wire.sdk.engine import Engine, Options
from wire.sdk.halting import Halting
from wire.sdk.keeper import Keeper
from wire.sdk.latch import Latch, decode
from wire.sdk.platform import Credential
from wire.sdk.work import Outcome
from wire.session import Acknowledged, CloseLink, Offer, PlatformSession, Received
from wire.stops import Entry, Register, StopRecord, StopSnapshot
from wire.values import LatchState, OrderStatus, StopPhase

START = datetime(2026, 11, 20, 0, 30, tzinfo=UTC)
CREDENTIAL = Credential(engine_id="E1", secret="s", account_id="A1", http_url="http://p", ws_url="ws://p")
SYMBOLS = ("005930", "000660")
SCOPES = ("all", "engine:E1", "engine:E2", "account:A1", "strategy:E1/ma", "symbol:005930")
LEASE = 15.0


USUAL = {
    "deliver": 14,
    "finish": 14,
    "try_order": 8,
    "settle_one": 6,
    "connect": 4,
    "stop": 1,
    "release": 1.2,
    "disconnect": 0.4,
    "crash": 0.3,
    "amnesia": 0.25,
    "full_or_not": 0.3,
    "grants_or_not": 0.15,
    "wait": 8,
}
"""How often each of them happens."""
ANSWERS_ARE_SLOW = USUAL | {"settle_one": 0.2, "stop": 2, "crash": 0, "amnesia": 0, "wait": 14}
"""Requests are still under way when a stop has long closed the gate and read the account."""
EVERYBODY_FORGETS = USUAL | {"stop": 2, "release": 0.3, "crash": 0, "amnesia": 0.7}
NOBODY_GRANTS = USUAL | {"stop": 0.1, "crash": 0.1, "amnesia": 0, "try_order": 12, "grants_or_not": 1, "wait": 20}
MOODS = (USUAL, ANSWERS_ARE_SLOW, EVERYBODY_FORGETS, NOBODY_GRANTS)


class Broken(AssertionError):
    """An invariant does not hold."""


def hold(condition, words):
    if not condition:
        raise Broken(words)


def stricter(a, b):
    """What both together ask for, reckoned without the code that is judged."""
    newer, older = (a, b) if a.stop_epoch >= b.stop_epoch else (b, a)
    level = max((a.level, b.level), key=list(Level).index)
    scope = newer.scope if newer.scope == older.scope else Scope.everything()
    return Entry(scope, level, newer.stop_epoch)


class World:
    def __init__(self, seed, folder, mood):
        self.chance = random.Random(seed)
        self.mood = mood
        self.folder = folder
        self.time = 1000.0
        self.register = Register()
        self.session = self.detached = None
        self.granting = True
        self.granted_at = float("-inf")
        self.hellos = 0
        self.stops = {}  # durable id -> what was sent under it
        self.up, self.down = deque(), deque()
        self.linked = False
        self.disk_full = False
        self.positions, self.working, self.requests = {}, {}, {}
        self.over = {}  # releases that this engine has heard of: stop id -> epoch
        self.obeyed = {}  # what this engine has been told and must obey
        self.seen = {"orders": 0, "verified": 0, "acked": 0, "crashes": 0, "refused": 0}
        self.numbers = 0
        self.boot()

    # --- time and the engine's process ---

    def now(self):
        return self.time

    def wall(self):
        return START + timedelta(seconds=self.time)

    def boot(self):
        options = Options(name="Alpha", health_every=None, read_every=2.0)
        engine = self.engine = Engine(CREDENTIAL, self.folder, options, clock=self)
        engine.add_strategy("ma", name="Averages", schema={}, parameters={})
        engine.handlers.read_account = self.read
        engine.handlers.cancel_all = self.cancel_all
        engine.handlers.flatten = self.flatten
        engine.open()
        engine.work.begin()
        self.jobs = []
        send = engine.outlet.send

        def listening(message):
            if isinstance(message, StopProgress) and message.phase is StopPhase.VERIFIED:
                self.judge_verified(message)
            return send(message)

        engine.outlet.send = listening

    def crash(self):
        """kill -9: what was written stays, what was under way is gone."""
        self.disconnect()
        self.engine.outlet.close()
        os.close(self.engine._locked)
        on_disk = self.latched()
        self.obeyed = {i: on_disk[i] for i in self.obeyed if i in on_disk}  # a raise may not have got there
        for order_id in list(self.requests):
            self.answer(order_id)
        self.seen["crashes"] += 1
        self.boot()

    def latched(self):
        path = self.folder / "latch.json"
        latch = decode(path.read_bytes()) if path.exists() else None
        return {s.record.stop_id: s.entry for s in latch.stops} if latch else {}

    # --- the broker ---

    def read(self):
        return Reading(
            positions=[
                Position(symbol=s, quantity=q, average_price=1, strategy_id="ma")
                for s, q in self.positions.items()
                if q
            ],
            orders=[
                WorkingAtBroker(order_id=i, symbol=s, side="buy", remaining=1, strategy_id="ma")
                for i, s in self.working.items()
            ],
        )

    def cancel_all(self, orders):
        for order in orders:
            self.engine.orders.check_cancel(order.order_id, symbol=order.symbol, strategy_id="ma")
            self.working.pop(order.order_id, None)
            self.engine.orders.settle(f"{order.order_id}/cancel")

    def flatten(self, closings):
        for close in closings:
            order_id, amount = self.number("close"), close.quantity
            sale = {"symbol": close.symbol, "side": "sell", "quantity": amount, "strategy_id": "ma"}
            try:
                self.engine.orders.check(order_id, **sale, closing=True)
            except GateClosed:
                continue
            self.positions[close.symbol] -= amount
            hold(self.positions[close.symbol] >= 0, "a closing order sold more than was held")
            self.engine.orders.settle(order_id)
            self.engine.telling.fill(order_id, **sale, price=1)

    def number(self, what):
        self.numbers += 1
        return f"{what}-{self.numbers}"

    def try_order(self):
        symbol = self.chance.choice(SYMBOLS)
        held = self.positions.get(symbol, 0)
        side = self.chance.choice(("buy", "sell")) if held else "buy"
        order_id = self.number("order")
        try:
            self.engine.orders.check(order_id, symbol=symbol, side=side, quantity=1, strategy_id="ma")
        except GateClosed:
            self.seen["refused"] += 1
            return
        self.seen["orders"] += 1
        self.judge_order(symbol, side)
        self.requests[order_id] = (symbol, side)

    def answer(self, order_id):
        """What becomes of a request: it rests, fills or is refused."""
        symbol, side = self.requests.pop(order_id)
        fate = self.chance.choice(list(OrderStatus)[:3])
        if fate is OrderStatus.PENDING or (side == "sell" and self.positions.get(symbol, 0) < 1):
            return False
        if fate is OrderStatus.ACCEPTED and side == "buy":
            self.working[order_id] = symbol
            return False
        self.positions[symbol] = self.positions.get(symbol, 0) + (1 if side == "buy" else -1)
        return True

    def settle_one(self):
        if not self.requests:
            return
        order_id = self.chance.choice(list(self.requests))
        symbol, side = self.requests[order_id]
        filled = self.answer(order_id)
        if self.chance.random() < 0.3:
            self.engine.orders.lost(order_id)
            return
        if filled:
            self.engine.telling.fill(order_id, strategy_id="ma", symbol=symbol, side=side, quantity=1, price=1)
        self.engine.orders.settle(order_id)

    # --- the platform ---

    def connect(self):
        if not self.linked:
            self.session = PlatformSession("E1", now=self.time, limits=Limits(heartbeat_ms=1000))
            self.engine.conversation.connected()
            self.linked = True

    def disconnect(self):
        if self.linked:
            self.linked = False
            self.up.clear()
            self.down.clear()
            self.detached = self.session.detach() or self.detached
            self.session = None
            self.engine.conversation.lost(LinkClosed(1006))
            self.engine.conversation.disconnected()

    def snapshot(self):
        held = [
            StopRecord(stop_id=i, scope=e.scope, level=e.level, stop_epoch=e.stop_epoch)
            for i, e in self.register.concerning("E1", "A1")
        ]
        return StopSnapshot(epoch=self.register.epoch, effective=held, released=self.register.released_ids())

    def stop(self):
        known = [i for i, _ in self.register.open_stops()]
        stop_id = self.chance.choice([*known, self.number("stop")])
        scope = Scope.parse(self.chance.choice(SCOPES))
        level = self.chance.choice([lv for lv in Level if lv is not Level.NORMAL])
        self.register = self.register.with_stop(stop_id, Entry(scope, level, self.register.epoch + 1))
        entry = self.register.entries[stop_id]
        if self.session is not None and entry.scope.concerns("E1", "A1"):
            durable_id = self.number("message")
            self.stops[durable_id] = (stop_id, entry)
            self.session.send(
                EmergencyStop(
                    stop_id=stop_id,
                    stop_epoch=entry.stop_epoch,
                    scope=entry.scope,
                    level=entry.level,
                    proof="",
                    timeout_ms=30_000,
                    reason="the world",
                    user_id="u",
                ),
                id=durable_id,
            )

    def release(self):
        known = [i for i, _ in self.register.open_stops()]
        if not known:
            return
        stop_id = self.chance.choice(known)
        epoch = self.register.epoch + 1
        self.register = self.register.with_release([stop_id], epoch)
        if self.session is not None:
            held = self.snapshot().effective
            self.session.send(Release(stop_ids=[stop_id], epoch=epoch, effective=held, resume=True))

    def amnesia(self):
        """The platform starts anew from a copy that lacks a stop: the engine's latch brings it back."""
        self.disconnect()
        self.detached = None
        known = {i: e for i, e in self.register.entries.items() if not e.is_open or self.chance.random() < 0.5}
        self.register = Register(entries=known, floor=self.register.epoch)
        if self.chance.random() < 0.7:
            self.crash()  # both at once: a whole machine went down

    def platform_takes(self, frame):
        for event in self.session.receive(frame, self.time):
            match event:
                case CloseLink():
                    raise Broken(f"the engine broke the protocol: {event}")
                case Acknowledged(ids=ids):
                    for sent in (self.stops[i] for i in ids if i in self.stops):
                        self.judge_acknowledged(sent)
                case Received(message=Hello() as hello):
                    self.greet(hello)
                case Received(message=Heartbeat() as beat):
                    lease = int(LEASE * 1000) if self.granting and beat.synced else 0
                    self.granted_at = self.time if lease else self.granted_at
                    self.session.answer_heartbeat(beat, stop=self.snapshot(), lease_ms=lease)
                case Received(message=LocalStop(id=stop_id, level=level)):
                    self.open_local(stop_id, level)
            if isinstance(event, Received) and event.seq is not None:
                self.session.committed(event.seq, self.time)

    def open_local(self, stop_id, level):
        """The engine's own stop becomes the platform's under its id, with an epoch above everything."""
        if stop_id not in self.register.entries:
            entry = Entry(Scope.of_engine("E1"), level, self.register.epoch + 1)
            self.register = self.register.with_stop(stop_id, entry)

    def greet(self, hello):
        self.hellos += 1
        for r in hello.stops:
            self.register = self.register.with_stop(r.stop_id, Entry(r.scope, r.level, r.stop_epoch))
        offer = Offer(
            session=f"s{self.hellos}",
            epoch=self.hellos,
            platform_id="p",
            term=1,
            stop=self.snapshot(),
            lease_ms=0,
            on_lease_expiry=LeaseExpiry(),
            token_expires=self.wall() + timedelta(hours=1),
            config_version=1,
        )
        self.session.welcome(offer, self.time, detached=self.detached)

    def engine_takes(self, frame):
        plain = json.loads(frame)
        payload = plain["payload"]
        snapshot = payload.get("stop", payload if plain["type"] == "release" else {})
        orders = [payload] if plain["type"] == "emergency_stop" else []
        self.engine.conversation.receive(frame)
        for record in [*snapshot.get("effective", ()), *orders]:
            entry = Entry(Scope.parse(record["scope"]), Level(record["level"]), record["stop_epoch"])
            known = self.obeyed.get(record["stop_id"])
            if entry.stop_epoch > self.over.get(record["stop_id"], -1):  # else it comes after its own release
                self.obeyed[record["stop_id"]] = stricter(known, entry) if known else entry
        for stop_id in [*snapshot.get("released", ()), *snapshot.get("stop_ids", ())]:
            self.over[stop_id] = max(snapshot["epoch"], self.over.get(stop_id, -1))
            entry = self.obeyed.get(stop_id)
            if entry is not None and entry.stop_epoch <= snapshot["epoch"]:
                del self.obeyed[stop_id]

        for entry in self.obeyed.values():
            for symbol in SYMBOLS:
                if entry.scope.covers("E1", "A1", "ma", symbol):
                    hold(
                        self.engine.gate.level_for("ma", symbol) >= entry.level,
                        "the gate is less strict than what was said",
                    )

    # --- what must hold ---

    def judge_order(self, symbol, side):
        hold(self.time < self.granted_at + LEASE, "an order left without a lease")
        for entry in self.obeyed.values():
            if entry.scope.covers("E1", "A1", "ma", symbol):
                hold(entry.level < Level.HALT, f"an order left under {entry.level.value}")
                hold(side == "sell", "an order opened something under REDUCE_ONLY")

    def judge_acknowledged(self, sent):
        stop_id, entry = sent
        now = self.register.entries.get(stop_id)
        # One that was released or raised meanwhile is acknowledged by its number alone: only the newest is executed.
        if now is not None and now.is_open and now.stop_epoch == entry.stop_epoch:
            self.seen["acked"] += 1
            known = self.latched().get(stop_id)
            same = known is not None and stricter(known, entry) == attrs.evolve(known, released_epoch=None)
            hold(same, "what was acknowledged is not on stable storage")

    def judge_verified(self, report):
        run = next(r for r in self.engine.halting.stopping.runs if r.stop_id == report.stop_id)
        covered = [s for s in SYMBOLS if run.scope.covers("E1", "A1", "ma", s)]
        self.seen["verified"] += 1
        hold(report.stop_id in self.latched(), "a stop was verified that is not on stable storage")
        if run.level < Level.CANCEL:
            return
        hold(not [s for s, _ in self.requests.values() if s in covered], "verified with a request in flight")
        hold(not [s for s in self.working.values() if s in covered], "verified with a working order")
        if run.level is Level.FLATTEN:
            hold(not [s for s in covered if self.positions.get(s)], "verified flat with a position")

    # --- a step ---

    def pump(self):
        self.jobs += self.engine.work.jobs(self.time)
        if self.linked:
            self.up.extend(self.engine.conversation.frames())
            self.down.extend(self.session.take(self.time))
            if self.engine.conversation.is_over:
                self.disconnect()

    def finish(self):
        if not self.jobs:
            return
        lane, job = self.jobs.pop(self.chance.randrange(len(self.jobs)))
        try:
            if job.blocking and self.disk_full:
                raise OSError(28, "No space left on device")
            outcome = Outcome(value=job.work())
        except (OSError, GateClosed) as error:
            outcome = Outcome(error=error)
        self.engine.work.finished(lane, job, outcome, self.time)

    def deliver(self):
        for _ in range(self.chance.randint(1, 6)):
            if self.up and self.chance.random() < 0.6:
                self.platform_takes(self.up.popleft())
            elif self.down:
                self.engine_takes(self.down.popleft())

    def step(self):
        (act,) = self.chance.choices(list(self.mood), list(self.mood.values()))
        getattr(self, act)()
        self.pump()

    def full_or_not(self):
        self.disk_full = not self.disk_full and self.chance.random() < 0.5

    def grants_or_not(self):
        self.granting = self.chance.random() < 0.7

    def wait(self):
        self.time += self.chance.choice(
            (0.01, 0.1, 0.3, 1.0, 1.0, 3.0, 20.0) if self.chance.random() < 0.1 else (0.05, 0.2)
        )

    def quiet(self):
        """The world calms down: everything that was begun must come to its end."""
        self.disk_full, self.granting = False, True
        self.connect()
        for _ in range(400):
            while self.requests:
                self.settle_one()
            while self.jobs:
                self.finish()
            for _ in range(60):
                if self.up:
                    self.platform_takes(self.up.popleft())
                if self.down:
                    self.engine_takes(self.down.popleft())
            self.time += 0.1
            self.pump()
            self.connect()
        for run in self.engine.halting.stopping.runs:
            hold(run.is_over, f"{run.stop_id} at {run.level.value} stays {run.phase.value}")
        open_here = {i for i, _ in self.register.concerning("E1", "A1")}
        hold({s.record.stop_id for s in self.engine.halting.latch.open_stops()} == open_here, "the latch differs")


def story(seed, folder, steps=350, mood=USUAL):
    folder.mkdir()
    world = World(seed, folder, mood)
    try:
        for _ in range(steps):
            world.step()
        world.quiet()
    finally:
        world.engine.outlet.close()
        if world.engine._locked >= 0:
            os.close(world.engine._locked)
    return world.seen


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda _fd: None)


def test_whatever_happens_nothing_leaves_under_a_stop_and_nothing_acknowledged_is_forgotten(tmp_path):
    seen = {}
    for seed in range(16):
        for what, count in story(seed, tmp_path / str(seed)).items():
            seen[what] = seen.get(what, 0) + count
    assert min(seen.values()) >= 15, seen


@pytest.mark.parametrize("mood", range(1, len(MOODS)))
def test_a_mood_that_shows_a_mistake_goes_well_without_it(mood, tmp_path):
    for seed in range(4):
        story(seed, tmp_path / str(seed), mood=MOODS[mood])


@pytest.mark.deep
def test_the_same_over_many_stories(tmp_path):
    for seed in range(1000, 2500):
        story(seed, tmp_path / str(seed), steps=600, mood=MOODS[seed % len(MOODS)])


# --- each rule, taken away, is missed ---------------------------------------------------------------------------------


def acknowledge_first(monkeypatch):
    monkeypatch.setattr("wire.sdk.conversation._Commit.is_safe", lambda _self, _latch, _settings: True)


def say_safe_before_writing(monkeypatch):
    changed = Keeper.changed

    def lying(self):
        version = changed(self)
        self.safe = version
        return version

    monkeypatch.setattr(Keeper, "changed", lying)


def boot_without_the_latch(monkeypatch):
    monkeypatch.setattr("wire.sdk.engine.load", lambda _path: (LatchState.ABSENT, Latch()))


def let_orders_pass_under_a_stop(monkeypatch):
    monkeypatch.setattr("wire.sdk.gate.Gate.level_for", lambda _self, _strategy, _symbol: Level.NORMAL)


def believe_in_the_lease_for_ever(monkeypatch):
    monkeypatch.setattr("wire.sdk.lease.Lease.alive", lambda self, _now: self.expires_at is not None)


def forget_requests_in_flight(monkeypatch):
    monkeypatch.setattr("wire.sdk.engine.Engine.unresolved", lambda _self, _scope: 0)


def release_everything_with_anything(monkeypatch):
    let_go = Halting._let_go

    def all_of_them(self, _ids, epoch, **more):
        let_go(self, [s.record.stop_id for s in self.latch.stops], epoch, **more)

    monkeypatch.setattr(Halting, "_let_go", all_of_them)


def lose_the_level_on_a_merge(monkeypatch):
    merge = Entry.merge
    monkeypatch.setattr(Entry, "merge", lambda self, other: attrs.evolve(merge(self, other), level=other.level))


STORIES = 30
"""Each mood shows its mistake in at least two stories of five."""
MUTANTS = [
    (acknowledge_first, USUAL),
    (say_safe_before_writing, USUAL),
    (boot_without_the_latch, EVERYBODY_FORGETS),
    (let_orders_pass_under_a_stop, USUAL),
    (believe_in_the_lease_for_ever, NOBODY_GRANTS),
    (forget_requests_in_flight, ANSWERS_ARE_SLOW),
    (release_everything_with_anything, USUAL),
    (lose_the_level_on_a_merge, USUAL),
]


@pytest.mark.parametrize(("mutant", "mood"), MUTANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_rule_taken_away_is_missed(mutant, mood, monkeypatch, tmp_path):
    mutant(monkeypatch)
    for seed in range(45, 45 + STORIES):  # the first story that notices is the last
        try:
            story(seed, tmp_path / str(seed), mood=mood)
        except Broken:
            return
    pytest.fail("nobody noticed")
