"""What closed connections leave behind is found by time."""

import gc
import weakref

import pytest

from actors.collector import MANY, SOON_SECONDS, TIDY_SECONDS, Tidier, settle


class Circle:
    def __init__(self):
        self.me = self


@pytest.fixture
def settled():
    before = gc.get_threshold()
    settle()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def old_circle():
    """One that is so old that it is hardly ever looked for."""
    circle = Circle()
    gc.collect()
    return weakref.ref(circle)


def test_old_circles_are_gone_when_it_is_time_and_again_after_that(settled):
    tidier = Tidier(10.0)
    left = old_circle()
    assert not tidier.tidy(10.0 + TIDY_SECONDS - 0.1)
    assert left() is not None
    assert tidier.tidy(10.0 + TIDY_SECONDS)
    assert left() is None
    left = old_circle()
    assert not tidier.tidy(10.0 + 2 * TIDY_SECONDS - 0.1)
    assert tidier.tidy(10.0 + 2 * TIDY_SECONDS + 5)
    assert left() is None


def test_many_new_objects_are_searched_soon(settled):
    tidier = Tidier(10.0)
    left = old_circle()
    kept = [Circle() for _ in range(MANY)]
    assert not tidier.tidy(10.0 + SOON_SECONDS - 0.1)
    assert tidier.tidy(10.0 + SOON_SECONDS)
    assert left() is None
    assert len(kept) == MANY
    assert not tidier.tidy(10.0 + 2 * SOON_SECONDS)  # and those that stay are no reason to search again
    kept += [Circle() for _ in range(MANY + len(gc.get_objects()) // 4)]
    assert tidier.tidy(10.0 + 2 * SOON_SECONDS)


def test_a_process_that_leaves_the_collector_alone_is_left_alone():
    left = old_circle()
    assert not Tidier(0.0).tidy(1e6)
    assert left() is not None
