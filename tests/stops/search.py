"""Every history of a small world up to a depth, shortest first, each state looked at once.

A state is forked by copying exactly what can change. Two states are the same when they look the same to everybody:
epochs count by their order, times by their distance from now, frames by what they say.
"""

import json
import types
from collections import OrderedDict, deque
from enum import Enum
from pathlib import PurePath

import attrs

from tests.stops.judge import Violation
from wire.sdk.conversation import Parts
from wire.session import Detached, State

_FROZEN = attrs.frozen(type("_", (), {})).__setattr__
_ATOMS = (str, int, float, bool, bytes, type(None), types.FunctionType, types.BuiltinFunctionType, frozenset)
_HOLDERS = (Detached, Parts)
"""Frozen, but what they hold can change."""
_HOW = {}
"""How a value of a class is forked; None: it cannot change, and is shared."""


def fork(value, memo):
    """A copy of everything in it that can change."""
    try:
        how = _HOW[value.__class__]
    except KeyError:
        how = _HOW[value.__class__] = _how(value.__class__)
    if how is None:
        return value
    known = memo.get(id(value))
    return known if known is not None else how(value, memo)


def _how(cls):
    if cls in _ATOMS or issubclass(cls, Enum | PurePath) or cls.__module__ == "datetime":
        return None
    if attrs.has(cls) and cls.__setattr__ is _FROZEN and cls not in _HOLDERS:
        return None
    plain = {dict: _dict, OrderedDict: _dict, list: _list, deque: _deque, set: _set, tuple: _tuple}
    return plain.get(cls) or (_method if cls is types.MethodType else _object(cls))


def _object(cls):
    slots = tuple(s for c in cls.__mro__ for s in getattr(c, "__slots__", ()) if s not in ("__weakref__", "__dict__"))
    put, new, has_dict = object.__setattr__, cls.__new__, hasattr(cls, "__dict__") and not slots

    def copied(value, memo):
        made = memo[id(value)] = new(cls)
        for name in slots:
            put(made, name, fork(getattr(value, name), memo))
        if has_dict:
            _into(made.__dict__, value.__dict__, memo)
        return made

    return copied


def _into(made, items, memo):
    shared = _SHARED
    for name, value in items.items():
        made[name] = value if value.__class__ in shared else fork(value, memo)


_SHARED = frozenset(_ATOMS)


def _dict(value, memo):
    made = memo[id(value)] = value.__class__()
    if value:
        _into(made, value, memo)
    return made


def _list(value, memo):
    made = memo[id(value)] = []
    if value:
        made.extend([fork(v, memo) for v in value])
    return made


def _deque(value, memo):
    made = memo[id(value)] = deque(maxlen=value.maxlen)
    if value:
        made.extend([fork(v, memo) for v in value])
    return made


def _set(value, memo):
    made = memo[id(value)] = set(value)
    return made


def _tuple(value, memo):
    return tuple([fork(v, memo) for v in value]) if value else value


def _method(value, memo):
    return types.MethodType(value.__func__, fork(value.__self__, memo))


def child(world):
    return fork(world, {})


# --- the same state -----------------------------------------------------------------------------------------------


class _Epoch:
    __slots__ = ("n",)

    def __init__(self, n):
        self.n = n


def key(world):
    """A hashable face of the world."""
    out = []
    put, now = out.append, world.now
    epoch = lambda n: put(_Epoch(n)) if n is not None else put(None)  # noqa: E731

    def register(r):
        epoch(r.epoch)
        for stop_id, e in sorted(r.entries.items()):
            put((stop_id, str(e.scope), e.level.rank))
            epoch(e.stop_epoch)
            epoch(e.released_epoch)

    def left(at):
        return None if at is None else max(-20.0, round(at - now, 2))

    for platform in world.platforms.values():
        put((platform.name, platform.alive, platform.home.state, platform.home.works, platform.term))
        if not platform.alive:
            continue
        register(platform.book.register)
        register(platform.home.replayed().register)
        put(tuple(sorted(platform.home.replayed().releases)))
        put(tuple((e.stop_id, e.entry.level.rank) for e in platform.to_journal))
        put(tuple(platform.to_save))
        put(tuple(sorted(platform.unsent)))
        put(tuple(sorted(platform.book.connected)))
        if platform.releasing is not None:
            put((platform.releasing.plan.stop_id, platform.releasing.valid, platform.releasing.sealed))
            epoch(platform.releasing.plan.epoch)
        for name, place in sorted(platform.places.items()):
            put((name, place.instance, left(place.heard), left(place.lease_until), left(place.guarded_until)))
            put((place.synced, place.link is not None))
            if place.detached is not None:
                _outbox(place.detached.outbox, put, epoch)
        for name, names in sorted(platform.book._names.items()):
            put((name, tuple(sorted(names.items()))))
    register(world.base.register)
    put((world.base.works, world.base.generation, tuple(sorted(world.base.instances.items()))))
    for engine in world.engines.values():
        latch = engine.disk.latch
        put((engine.name, engine.starts, engine.unsaved, engine.halting.latch_state, engine.gate.fenced))
        register(engine.gate.register)
        if latch is not None:
            register(latch.register())
        register(engine.halting.latch.register())
        put((left(engine.lease.expires_at), tuple(engine.disk.spool), engine.session.state))
        put(tuple(sorted(engine.session._beats)))
        _outbox(engine.session.outbox, put, epoch)
        put((len(engine.talks._commits), tuple(sorted(engine.halting._unsafe)), engine.talks._foreign))
        for text in world.old_frames.get(engine.name, ()):
            _frame(text, put, epoch, engine)
        for stop_id, n in sorted(engine.confirmed.items()):
            put(stop_id)
            epoch(n)
    for link in world.links:
        put((link.platform.name, link.engine.name, link.open, link.engine.link is link, link.session.state))
        put((link.hello is not None, link.snapshot is not None, tuple(sorted(link.held))))
        _outbox(link.session.outbox, put, epoch)
        for text in link.up:
            _frame(text, put, epoch, link.engine)
        put("|")
        for text in link.down:
            _frame(text, put, epoch, link.engine)
    truth = world.truth
    put(tuple(sorted((s, left(at)) for s, at in truth.since.items())))
    for stop_id, (n, level) in sorted(truth.promised.items()):
        put((stop_id, level.rank))
        epoch(n)
    put(tuple(sorted(truth.released)))
    order = {n: i for i, n in enumerate(sorted({x.n for x in out if x.__class__ is _Epoch}))}
    return hash(tuple([(-1, order[x.n]) if x.__class__ is _Epoch else x for x in out]))


def _outbox(outbox, put, epoch):
    put((outbox.next_seq - outbox.acked, len(outbox._resend)))
    for letter in (*outbox._sent.values(), *outbox._urgent, *outbox._queue):
        put((letter.message.__class__.__name__, letter.gap))
        for name in ("stop_epoch", "epoch"):
            if (n := getattr(letter.message, name, None)) is not None:
                put(getattr(letter.message, "stop_id", None))
                epoch(n)


_DIGESTS = {}


def _digest(text):
    found = _DIGESTS.get(text)
    if found is None:
        plain = json.loads(text)
        body = plain["payload"]
        stop = body.get("stop") if isinstance(body.get("stop"), dict) else {}
        said = [*stop.get("effective", []), *body.get("effective", []), *body.get("stops", [])]
        said += [body] if plain["type"] == "emergency_stop" else []
        found = (
            (plain["type"], body.get("lease_ms"), tuple(stop.get("released", body.get("stop_ids", ())))),
            tuple((s["stop_id"], s["level"], s["stop_epoch"]) for s in said if isinstance(s, dict)),
            stop.get("epoch", body.get("epoch", body.get("stop_epoch", 0))),
            body.get("n"),
        )
        if len(_DIGESTS) > 200_000:
            _DIGESTS.clear()
        _DIGESTS[text] = found
    return found


def _frame(text, put, epoch, engine):
    head, said, at, n = _digest(text)
    put(head)
    put(None if n is None else n - engine.session._beat)
    epoch(at)
    for stop_id, level, stop_epoch in said:
        put((stop_id, level))
        epoch(stop_epoch)


# --- the search ---------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Found:
    """``history`` None: nothing is wrong up to the depth. ``states`` looked at, ``steps`` tried."""

    history: tuple | None
    why: str
    states: int
    steps: int
    depth: int


def search(make, options, *, depth, most=10**9):
    """``options(world)`` gives the steps that make sense now; at most so many are tried. Breadth first, so a history
    that is found is shortest."""
    first = make()
    level, seen, steps = [(first, ())], {key(first)}, 0
    for reached in range(1, depth + 1):
        following = []
        for world, history in level:
            for step in options(world):
                if steps == most:
                    return Found(history=None, why="", states=len(seen), steps=steps, depth=reached)
                steps += 1
                made = child(world)
                try:
                    made.do(step)
                except Violation as violation:
                    told = (*history, step)
                    return Found(history=told, why=str(violation), states=len(seen), steps=steps, depth=reached)
                face = key(made)
                if face not in seen:
                    seen.add(face)
                    if reached < depth:
                        following.append((made, (*history, step)))
        level = following
    return Found(history=None, why="", states=len(seen), steps=steps, depth=depth)


def replay(world, history):
    """Raises Violation where the history goes wrong."""
    for step in history:
        world.do(step)
    return world


def linked(world, name):
    engine = world.engines[name]
    return engine.link is not None and engine.session.state is not State.CLOSED
