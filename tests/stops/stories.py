"""Chosen stories of a simulation, each with the one thing that goes wrong in it."""

import trio

from wire.stops import Level


async def one_stop_and_its_release(sim):
    """A short life without troubles, to be cut off at any step; whatever was promised until then is kept."""
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        await nursery.start(sim.run_engine, "E1")
        nursery.start_soon(_short_story, sim)
        while sim.life.alive and sim.now < 4.0:  # noqa: ASYNC110  # the step of the kill is chosen outside
            await trio.sleep(0.05)
        sim.kill()
        await nursery.start(sim.run_engine, "E2")
        end = sim.now + sim.quiet
        while sim.now < end or not sim.life.alive:  # the step of the kill may be the last one of the quiet
            if not sim.life.alive:
                await sim.life.over.wait()
                await nursery.start(sim.run_platform)
                end = sim.now + sim.quiet
            await trio.sleep(0.25)
        sim.judge_quiet()
        nursery.cancel_scope.cancel()


async def a_raise_while_a_release_is_written(sim):
    """The disk takes its time for a release, and somebody stops again meanwhile."""
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        for name in sim.accounts:
            await nursery.start(sim.run_engine, name)
        await trio.sleep(1.0)
        await sim.stop("all", Level.HALT)
        await trio.sleep(1.0)
        sim.disk.slow = 4.0
        nursery.start_soon(sim.release, "s1")
        await trio.sleep(sim.rng.random())
        await sim.stop("all", Level.CANCEL)
        await trio.sleep(sim.quiet)
        sim.judge_quiet()
        nursery.cancel_scope.cancel()


async def killed_before_any_disk_answers(sim):
    """A stop is taken while journal and database hang, and the process dies."""
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        await trio.sleep(1.0)
        sim.disk.free, sim.rows.up = trio.Event(), False
        await sim.stop("all", Level.HALT)
        await trio.sleep(1.0)
        await _end_well(sim, nursery)


async def a_raise_that_only_the_journal_has(sim):
    """The database keeps an earlier, lower form of a stop."""
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        await trio.sleep(1.0)
        await sim.stop("all", Level.HALT)
        await trio.sleep(3.0)
        sim.rows.up = False
        await sim.stop("all", Level.FLATTEN)
        await trio.sleep(3.0)
        await _end_well(sim, nursery)


async def a_stop_that_only_the_journal_has(sim):
    """The database is away when the stop is taken, and the process dies after the journal has promised it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(sim.run_platform)
        await trio.sleep(1.0)
        sim.rows.up, sim.disk.tears = False, False  # a torn line would be found, and halt everything
        await sim.stop("all", Level.HALT)
        await trio.sleep(3.0)
        await _end_well(sim, nursery)


async def _end_well(sim, nursery):
    """The process dies, everything works again, and time passes."""
    sim.kill()
    await sim.life.over.wait()
    sim.rows.up = True
    sim.disk.free.set()
    await nursery.start(sim.run_platform)
    for name in sim.accounts:
        await nursery.start(sim.run_engine, name)
    await trio.sleep(sim.quiet)
    sim.judge_quiet()
    nursery.cancel_scope.cancel()


async def _short_story(sim):
    await trio.sleep(0.3)
    await sim.stop("all", Level.HALT)
    await trio.sleep(0.3)
    await sim.stop("engine:E1", Level.HALT)
    await trio.sleep(0.5)
    await sim.release("s1")
    await sim.stop("engine:E1", Level.CANCEL)
