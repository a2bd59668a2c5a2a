"""The heap of deadlines, and the slot."""

import random
from functools import partial

import pytest
import trio
import trio.testing

from supervisor.errors import StartError
from supervisor.slot import Slot
from supervisor.system import open_system
from supervisor.timekeeper import Timekeeper


def test_alarms_keep_their_order_through_any_number_of_cancellations():
    chosen = random.Random(7)
    for _ in range(5):
        keeper, ran = Timekeeper(lambda: 0.0), []
        times = [chosen.random() * 100 for _ in range(3000)]
        alarms = [keeper.at(when, partial(ran.append, when)) for when in times]
        gone = set(chosen.sample(range(3000), 2400))
        for n in gone:
            alarms[n].cancel()
        keeper.run_due(200)
        assert ran == sorted(when for n, when in enumerate(times) if n not in gone)


def test_the_heap_is_rebuilt_when_more_than_half_of_it_and_more_than_512_are_dead():
    def left(total, cancelled):
        keeper = Timekeeper(lambda: 0.0)
        alarms = [keeper.at(n, lambda: None) for n in range(total)]
        for alarm in alarms[:cancelled]:
            alarm.cancel()
        assert len(keeper) == total - cancelled
        return len(keeper._heap)

    assert left(600, 512) == 600
    assert left(600, 513) == 87
    assert left(1100, 550) == 1100
    assert left(1100, 551) == 549


def test_an_alarm_set_again_runs_once_at_its_new_time_and_leaves_no_trail():
    keeper, ran = Timekeeper(lambda: 0.0), []
    alarm = None
    for n in range(100):
        alarm = keeper.again(alarm, 30.0 + n, lambda n=n: ran.append(n))
        if n < 99:
            alarm.cancel()
    assert (len(keeper), len(keeper._heap)) == (1, 1)
    keeper.run_due(30.0)
    keeper.run_due(128.9)
    assert ran == []
    assert len(keeper) == 1
    keeper.run_due(129.0)
    assert ran == [99]
    assert len(keeper) == 0
    assert keeper._heap == []


def test_an_alarm_that_has_run_or_was_swept_away_or_is_set_earlier_gets_a_new_entry():
    keeper, ran = Timekeeper(lambda: 0.0), []
    first = keeper.at(1.0, lambda: ran.append("first"))
    assert keeper.again(first, 2.0, lambda: ran.append("other")) is not first  # still wanted
    keeper.run_due(3.0)
    assert keeper.again(first, 5.0, lambda: ran.append("again")) is not first  # has run
    late = keeper.at(50.0, lambda: ran.append("late"))
    late.cancel()
    early = keeper.again(late, 4.0, lambda: ran.append("early"))
    assert early is not late
    keeper.run_due(10.0)
    assert ran == ["first", "other", "early", "again"]
    swept = keeper.at(60.0, lambda: ran.append("swept"))
    swept.cancel()
    for _ in range(600):
        keeper.at(70.0, lambda: None).cancel()
    assert keeper.again(swept, 80.0, lambda: ran.append("anew")) is not swept
    keeper.run_due(90.0)
    assert ran[4:] == ["anew"]
    assert len(keeper) == 0


async def test_a_start_deadline_holds_for_a_child_started_long_after_the_one_before(event_log, autojump_clock):
    async with open_system() as system:
        for n in range(3):
            await trio.sleep(20)
            began = trio.current_time()
            with pytest.raises(StartError):
                await system.root.start_child(event_log.child(f"a{n}", start=99, start_timeout=7 - n))
            assert trio.current_time() == began + 7 - n
            await system.root.start_child(event_log.child(f"b{n}", start=6, start_timeout=7))


async def test_a_slot_that_failed_first_says_so():
    slot = Slot()
    assert slot.fail(KeyError()) is True
    assert slot.fail(ValueError()) is False
    assert slot.resolve(1) is False
    with pytest.raises(KeyError):
        await slot.wait()


def test_an_alarm_that_lived_through_a_rebuild_is_set_again_in_its_old_entry():
    keeper = Timekeeper(lambda: 0.0)
    kept = keeper.at(5.0, lambda: None)
    for alarm in [keeper.at(1.0, lambda: None) for _ in range(600)]:
        alarm.cancel()
    kept.cancel()
    assert keeper.again(kept, 5.0, lambda: None) is kept
    kept.cancel()
    assert keeper.again(kept, 6.0, lambda: None) is kept
    kept.cancel()
    assert keeper.again(kept, 4.0, lambda: None) is not kept
