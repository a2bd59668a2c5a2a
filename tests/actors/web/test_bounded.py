"""Who is put out of a full house, and in which order."""

import trio

from actors.web.bounded import Guests


async def test_one_silent_guest_too_many_puts_out_the_oldest_and_nobody_who_is_served():
    guests = Guests(silent_limit=3, limit=100)
    scopes = [trio.CancelScope() for _ in range(6)]
    for scope in scopes[:3]:
        assert guests.enter(scope)
    guests.asked(scopes[0])
    assert guests.enter(scopes[3])
    assert not any(scope.cancel_called for scope in scopes)
    assert guests.enter(scopes[4])
    assert [scope.cancel_called for scope in scopes] == [False, True, False, False, False, False]
    guests.leave(scopes[1])
    assert (guests.count, len(guests.silent)) == (4, 3)


async def test_a_full_house_takes_another_guest_only_in_the_place_of_a_silent_one():
    guests = Guests(silent_limit=10, limit=2)
    served, silent, late, later = (trio.CancelScope() for _ in range(4))
    assert guests.enter(served)
    guests.asked(served)
    assert guests.enter(silent)
    assert guests.enter(late)
    assert silent.cancel_called
    guests.leave(silent)
    guests.asked(late)
    assert not guests.enter(later)
    assert not served.cancel_called


async def test_a_full_house_puts_out_who_rests_longest_before_it_turns_anybody_away():
    guests = Guests(silent_limit=10, limit=3)
    served, first, second, *late = (trio.CancelScope() for _ in range(6))
    for scope in (served, first, second):
        assert guests.enter(scope)
        guests.asked(scope)
    guests.answered(first)
    guests.answered(second)
    guests.asked(first)  # it asks again
    assert guests.enter(late[0])
    assert [s.cancel_called for s in (served, first, second)] == [False, False, True]
    guests.leave(second)
    guests.asked(late[0])
    assert not guests.enter(late[1])
    guests.answered(first)
    assert guests.enter(late[1])
    assert first.cancel_called
    guests.leave(first)
    assert (guests.count, len(guests.resting)) == (3, 0)


async def test_a_crowd_that_stays_after_its_answers_takes_no_place_from_who_has_just_come():
    guests = Guests()
    guests.bound(8)
    resting, coming = ([trio.CancelScope() for _ in range(count)] for count in (8, 4))
    for scope in resting:
        assert guests.enter(scope)
        guests.asked(scope)
        guests.answered(scope)
    for scope, out in zip(coming, resting, strict=False):
        assert guests.enter(scope)
        guests.leave(out)
    assert [s.cancel_called for s in (*resting, *coming)] == [True] * 4 + [False] * 8
    assert guests.enter(trio.CancelScope())
    assert [s.cancel_called for s in coming] == [True, False, False, False]


async def test_a_full_house_puts_out_who_has_spoken_longest_and_is_not_done_before_it_turns_anybody_away():
    guests = Guests(silent_limit=10, limit=3)
    served, first, second, *late = (trio.CancelScope() for _ in range(6))
    for scope in (served, first, second):
        assert guests.enter(scope)
        guests.asked(scope)
        guests.speaks(scope, still=True)
    guests.speaks(first, still=True)  # another drop of it
    guests.speaks(served, still=False)
    assert guests.enter(late[0])
    assert [s.cancel_called for s in (served, first, second)] == [False, True, False]
    guests.leave(first)
    guests.asked(late[0])
    guests.asked(second)
    guests.answered(second)
    assert guests.enter(late[1])  # whoever rests goes first
    assert (second.cancel_called, served.cancel_called) == (True, False)
    guests.leave(second)
    guests.asked(late[1])
    assert not guests.enter(late[2])
