"""What befalls a simulation at random: stops and releases, crashes, cuts, clogs, disks and databases that fail."""

import trio

from wire.stops import Level

SECONDS = 25.0
TROUBLES = (
    "stop", "stop", "stop", "raise", "release", "release", "kill", "engine", "cut", "clog", "clog", "unclog", "swizzle",
    "disk", "disk hangs", "disk works", "database", "database works", "flaky", "coordinator",
)  # fmt: skip


async def _trouble(sim, nursery):
    rng, end = sim.rng, sim.now + SECONDS
    while sim.now < end:
        await trio.sleep(rng.expovariate(1.0))
        await _one_trouble(sim, nursery, rng.choice(TROUBLES))


async def _one_trouble(sim, nursery, kind):
    rng, life = sim.rng, sim.life
    sim.tell(kind)
    pipes = [e.pipe for e in sim.engines.values() if e.pipe is not None]
    match kind:
        case "stop" | "raise" if life.alive and life.system is not None:
            scope = rng.choice(["all", "engine:E1", "account:A2", "symbol:005930"])
            level = rng.choice([Level.HALT, Level.CANCEL] if kind == "stop" else [Level.FLATTEN])
            nursery.start_soon(sim.stop, scope, level)
            if rng.random() < 0.2:
                await trio.sleep(rng.random() * 2 * sim.disk.slow)
                await _restart(sim, nursery)
        case "release" if life.alive and life.book is not None:
            stops = [i for i, _ in life.book.register.open_stops()]
            if stops:
                stop_id = rng.choice(stops)
                nursery.start_soon(sim.release, stop_id)
                if rng.random() < 0.5:
                    await trio.sleep(rng.random() * sim.disk.slow)
                    nursery.start_soon(sim.stop, str(life.book.register.entries[stop_id].scope), Level.CANCEL)
        case "kill":
            await _restart(sim, nursery)
        case "engine":
            name = rng.choice(list(sim.accounts))
            sim.scopes[name].cancel()
            await trio.sleep(rng.random())
            sim.engines[name].boot_again()
            await nursery.start(sim.run_engine, name)
        case "cut" if pipes:
            rng.choice(pipes).cut()
        case "clog" if pipes:
            rng.choice(pipes).clog()
        case "unclog":
            for pipe in pipes:
                pipe.unclog()
        case "swizzle":
            await _swizzle(rng, pipes)
        case "disk":
            sim.disk.fails = True
        case "disk hangs":
            sim.disk.free = trio.Event() if sim.disk.free.is_set() else sim.disk.free
        case "disk works":
            _disk_works(sim)
        case "database":
            sim.rows.up = False
        case "flaky":
            sim.rows.flaky = not sim.rows.flaky
        case "database works":
            sim.rows.up = True
        case "coordinator" if life.alive and life.system is not None:
            life.system.ref("stops").tell(_Poison())


async def _restart(sim, nursery):
    sim.kill()
    await sim.life.over.wait()
    await trio.sleep(sim.rng.random() * 3)
    sim.disk.fails = False
    await nursery.start(sim.run_platform)


class _Poison:
    """No handler takes it: the actor crashes, and is restarted."""


def _disk_works(sim):
    sim.disk.fails = False
    sim.disk.answer()


async def _swizzle(rng, pipes):
    """Stalled one by one, and set free in another order."""
    for _ in range(2):
        rng.shuffle(pipes)
        for pipe in pipes:
            pipe.clog()
            await trio.sleep(rng.random() * 2)
        rng.shuffle(pipes)
        for pipe in pipes:
            await trio.sleep(rng.random() * 2)
            pipe.unclog()


async def _heal(sim, nursery):
    sim.tell("heal")
    _disk_works(sim)
    sim.rows.up, sim.rows.flaky = True, False
    if not sim.life.alive or sim.life.system is None:
        sim.kill()
        await nursery.start(sim.run_platform)
    end = sim.now + sim.quiet
    while sim.now < end:
        for engine in sim.engines.values():
            if engine.pipe is not None:
                engine.pipe.unclog()
        await trio.sleep(1.0)


async def in_every_trouble(sim):
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        for name in sim.accounts:
            await nursery.start(sim.run_engine, name)
        await trio.sleep(1.0)
        await _trouble(sim, nursery)
        await _heal(sim, nursery)
        sim.judge_quiet()
        nursery.cancel_scope.cancel()
