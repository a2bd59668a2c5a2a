"""Who has to wait after wrong passwords, and who must not."""

import pytest

from actors.web.throttle import ACCOUNT, ADDRESS, FORGET, LOCKED, PAIR, Throttle, login_keys, session_key

PROXY = "10.0.0.1"


def fail(throttle, user, times, *, address=PROXY, now=0.0):
    for _ in range(times):
        throttle.failed(login_keys(user, address), now)


def wait(throttle, user, *, address=PROXY, now=0.0):
    return throttle.wait(login_keys(user, address), now)


def test_ten_failures_are_free_and_then_the_wait_doubles_up_to_a_minute():
    throttle = Throttle()
    fail(throttle, "kim", 9)
    assert wait(throttle, "kim") == 0
    waits = []
    for _ in range(9):
        fail(throttle, "kim", 1)
        waits.append(wait(throttle, "kim"))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert wait(throttle, "kim", now=60) == 0


def test_one_bad_client_behind_a_proxy_locks_out_itself_and_nobody_else():
    throttle = Throttle()
    fail(throttle, "bad", PAIR.free + 8)
    assert wait(throttle, "bad") > 0
    assert wait(throttle, "kim") == 0


def test_an_address_that_tries_many_users_is_held_at_ten_times_the_bound_or_more():
    throttle = Throttle()
    for n in range(ADDRESS.free - 1):
        fail(throttle, f"guess{n}", 1)
    assert wait(throttle, "kim") == 0
    fail(throttle, "one more", 1)
    assert wait(throttle, "kim") > 0
    assert wait(throttle, "kim", address="10.0.0.2") == 0
    assert ADDRESS.free >= 10 * PAIR.free


def test_a_user_that_is_guessed_at_from_many_addresses_slows_down_but_is_never_locked():
    throttle = Throttle()
    for n in range(ACCOUNT.free * 20):
        fail(throttle, "kim", 1, address=f"10.1.{n // 250}.{n % 250}")
    assert 0 < wait(throttle, "kim", address="10.9.9.9") <= 60


def test_a_hundred_failures_in_a_row_lock_a_user_at_an_address_for_a_quarter_of_an_hour():
    throttle = Throttle()
    fail(throttle, "kim", PAIR.hard)
    assert wait(throttle, "kim") == LOCKED


@pytest.mark.parametrize(("user", "same"), [("KIM", True), ("kim2", False)])
def test_a_name_is_one_name_in_any_case(user, same):
    throttle = Throttle()
    fail(throttle, "kim", PAIR.free)
    assert (wait(throttle, user) > 0) is same


def test_a_success_forgets_the_users_failures_and_not_the_addresses():
    throttle = Throttle()
    for n in range(ADDRESS.free):
        fail(throttle, f"guess{n}", 1)
    fail(throttle, "mine", PAIR.free)
    throttle.succeeded(login_keys("mine", PROXY))
    assert throttle.wait(login_keys("mine", PROXY)[:1], 0.0) == 0
    assert wait(throttle, "mine") > 0


def test_a_live_session_is_counted_for_itself():
    throttle = Throttle()
    for n in range(ADDRESS.free * 10):
        fail(throttle, "kim" if n % 2 else f"guess{n}", 1)
    assert throttle.wait(session_key("s1"), 0.0) == 0
    for _ in range(PAIR.free):
        throttle.failed(session_key("s1"), 0.0)
    assert throttle.wait(session_key("s1"), 0.0) > 0
    assert throttle.wait(session_key("s2"), 0.0) == 0


def test_after_an_hour_without_a_failure_everything_is_forgotten():
    throttle = Throttle()
    fail(throttle, "kim", 200)
    assert wait(throttle, "kim", now=FORGET) == 0
