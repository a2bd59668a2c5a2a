"""The run lease and what follows its expiry."""

from hypothesis import given
from hypothesis import strategies as st

from wire.parts import LeaseExpiry
from wire.sdk.lease import Lease, LeaseEvent


def test_a_lease_that_was_never_granted_is_not_alive_and_never_expires():
    lease = Lease()
    assert not lease.alive(0.0)
    assert lease.tick(1e9) == []
    assert lease.deadline() is None


def test_a_new_process_that_finds_orders_working_is_alone_from_then_on_by_the_policy_it_knows():
    lease = Lease()
    lease.at_stake(50.0)
    assert lease.deadline() is None  # no platform has ever said what to do
    lease.adopt(LeaseExpiry(cancel_after_ms=30_000, flatten_after_ms=60_000))
    lease.at_stake(100.0)
    lease.at_stake(120.0)
    assert not lease.alive(100.0)
    assert lease.tick(129.9) == []
    assert lease.tick(130.0) == [LeaseEvent.CANCEL_DUE]
    assert lease.tick(200.0) == [LeaseEvent.FLATTEN_DUE]


def test_a_grant_ends_being_alone():
    lease = Lease()
    lease.adopt(LeaseExpiry())
    lease.at_stake(100.0)
    assert lease.renew(140.0, 125.0)
    lease.at_stake(126.0)
    assert lease.tick(139.0) == []
    assert lease.tick(169.9) == [LeaseEvent.EXPIRED]
    assert lease.tick(170.0) == [LeaseEvent.CANCEL_DUE]


def test_expiry_then_cancel_then_flatten_are_told_once_and_in_order():
    lease = Lease()
    lease.adopt(LeaseExpiry(cancel_after_ms=30_000, flatten_after_ms=60_000))
    lease.renew(115.0, 100.0)
    assert lease.tick(114.9) == []
    assert lease.tick(115.0) == [LeaseEvent.EXPIRED]
    assert lease.deadline() == 145.0
    assert lease.tick(144.9) == []
    assert lease.tick(200.0) == [LeaseEvent.CANCEL_DUE, LeaseEvent.FLATTEN_DUE]
    assert lease.tick(300.0) == []


def test_without_a_wish_to_flatten_nothing_is_flattened():
    lease = Lease()
    lease.renew(15.0, 0.0)
    assert lease.tick(1e6) == [LeaseEvent.EXPIRED, LeaseEvent.CANCEL_DUE]


def test_a_renewal_after_expiry_revives_it_and_a_new_expiry_is_told_again():
    lease = Lease()
    lease.renew(15.0, 0.0)
    assert lease.tick(16.0) == [LeaseEvent.EXPIRED]
    assert lease.renew(35.0, 20.0)
    assert lease.alive(34.0)
    assert lease.tick(35.0) == [LeaseEvent.EXPIRED]


def test_a_late_answer_to_an_old_heartbeat_never_shortens_or_revives_a_lease():
    lease = Lease()
    lease.renew(30.0, 10.0)
    assert not lease.renew(20.0, 12.0)
    assert lease.expires_at == 30.0
    lease.tick(31.0)
    assert not lease.renew(30.5, 32.0)
    assert lease.tick(32.0) == []


def test_a_frame_that_grants_no_time_neither_begins_nor_ends_a_lease():
    lease = Lease()
    assert not lease.renew(10.0, 10.0)
    assert lease.tick(11.0) == []
    lease.renew(30.0, 15.0)
    lease.renew(16.0, 16.0)
    assert lease.alive(29.0)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 30)), max_size=20), st.floats(0, 200))
def test_a_lease_is_alive_exactly_until_the_highest_expiry_it_was_given(grants, now):
    lease = Lease()
    for sent_at, length in grants:
        lease.renew(sent_at + length, sent_at)
    assert lease.alive(now) is any(now < sent + length for sent, length in grants if sent + length > sent)


def test_an_expiry_counts_once_whoever_sees_it_first_and_is_told_in_any_case():
    lease = Lease()
    lease.renew(10.0, 0.0)
    assert (lease.lapses, lease.tick(10.0), lease.lapses) == (0, [LeaseEvent.EXPIRED], 1)
    assert lease.renew(30.0, 15.0)
    assert lease.lapses == 1
    assert lease.renew(50.0, 35.0)  # nobody looked between 30 and 35
    assert lease.lapses == 2
    assert lease.tick(36.0) == [LeaseEvent.EXPIRED]
    assert lease.tick(50.0) == [LeaseEvent.EXPIRED]
    assert lease.lapses == 3


def test_a_first_grant_and_a_renewal_in_time_are_no_lapse():
    lease = Lease()
    lease.renew(10.0, 5.0)
    lease.renew(20.0, 9.9)
    assert (lease.lapses, lease.tick(19.0)) == (0, [])
