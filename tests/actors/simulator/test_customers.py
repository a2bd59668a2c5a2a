"""Keys, tokens and the call limit, with the time passed in."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.errors import Refused
from actors.simulator.customers import Customer, Customers, TooSoon
from actors.simulator.faults import FaultBoard, Faults
from actors.simulator.options import account_order, parse, read_accounts
from wire.kis.codes import Profile

ANNA = Customer(account="1234567801", app_key="PSanna", app_secret="hidden-secret", hts_id="anna")
HOUR = 3_600.0


@pytest.fixture
def customers():
    return Customers([ANNA])


def test_a_token_is_the_same_for_six_hours_and_then_another(customers):
    first = customers.issue_token(ANNA, 0.0)
    assert customers.issue_token(ANNA, 5.9 * HOUR) == first
    assert customers.issue_token(ANNA, 6 * HOUR).value != first.value


def test_a_token_that_was_made_to_end_is_followed_by_another(customers):
    first = customers.issue_token(ANNA, 0.0)
    customers.expire_token(ANNA, 100.0)
    second = customers.issue_token(ANNA, 100.0)
    assert second.value != first.value
    assert customers.token_problem(ANNA, second.value, 101.0) is None


def test_a_second_issue_within_a_minute_is_too_soon(customers):
    customers.issue_token(ANNA, 100.0)
    with pytest.raises(TooSoon):
        customers.issue_token(ANNA, 159.9)
    assert customers.issue_token(ANNA, 160.0)


def test_a_token_is_good_for_a_day(customers):
    token = customers.issue_token(ANNA, 0.0).value
    assert customers.token_problem(ANNA, token, 24 * HOUR - 1) is None
    assert customers.token_problem(ANNA, token, 24 * HOUR) == "EGW00123"
    assert customers.token_problem(ANNA, token + "x", 0.0) == "EGW00121"
    assert customers.token_problem(ANNA, "é", 0.0) == "EGW00121"


def test_only_the_right_pair_is_a_customer(customers):
    assert customers.authenticated("PSanna", "hidden-secret") == ANNA
    assert customers.authenticated("PSanna", "other") is None
    assert customers.authenticated("other", "hidden-secret") is None


def test_an_approval_key_names_its_customer(customers):
    key = customers.approve(ANNA)
    assert len(key) == 36
    assert customers.approve(ANNA) == key
    assert customers.approved(key) == ANNA
    assert customers.approved("") is None


def test_keys_and_accounts_are_never_shared(customers):
    customers.add(ANNA)
    for change in ({"app_key": "PSother"}, {"account": "8765432101"}):
        with pytest.raises(ValueError):
            customers.add(attrs.evolve(ANNA, **change))
    customers.add(attrs.evolve(ANNA, app_key="PSnew"), replace=True)
    assert customers.of_key("PSanna") is None
    assert customers.of_account(ANNA.account).app_key == "PSnew"


def test_no_secret_is_in_a_repr(customers):
    assert "hidden-secret" not in repr(ANNA)
    assert customers.issue_token(ANNA, 0.0).value not in repr(customers.issue_token(ANNA, 100.0))


@given(st.sampled_from(Profile), st.lists(st.floats(0, 0.5), max_size=80))
def test_no_second_ever_holds_more_calls_than_the_limit(profile, gaps):
    customer = attrs.evolve(ANNA, profile=profile)
    customers, now, taken = Customers([customer]), 0.0, []
    for gap in gaps:
        now += gap
        if customers.may_call(customer, now):
            taken.append(now)
    limit = {Profile.REAL: 18, Profile.MOCK: 1}[profile]
    assert all(sum(now - 1 < other <= now for other in taken) <= limit for now in taken)


def test_an_accounts_faults_go_before_the_common_ones():
    board = FaultBoard()
    board.set("", Faults(refuse_cancels=True))
    board.set("A", Faults(failing_reads=1))
    assert (board.of("A").refuse_cancels, board.of("B").refuse_cancels) == (False, True)
    assert [board.takes_failed_read("A") for _ in range(2)] == [True, False]
    board.set("", Faults(gateway_timeouts=-1))
    assert all(board.takes_timeout("A") for _ in range(5))


def test_an_account_file_is_toml_or_json(tmp_path):
    (tmp_path / "a.toml").write_text('[[accounts]]\naccount = "12345678-01"\ncash = 7\nprofile = "mock"\n')
    (tmp_path / "a.json").write_text('{"accounts": [{"account": "1234567801"}]}')
    (toml,), (plain,) = read_accounts(tmp_path / "a.toml"), read_accounts(tmp_path / "a.json")
    assert (toml.customer.account, toml.cash, toml.customer.profile) == ("1234567801", 7, Profile.MOCK)
    assert (len(plain.customer.app_key), len(plain.customer.app_secret)) == (36, 180)


@pytest.mark.parametrize(
    "entry",
    [None, {"account": "12345678-0x"}, {"account": "1234567801", "profile": "x"}, {"account": "1", "cash": True}],
)
def test_a_wrong_account_entry_is_refused(entry):
    with pytest.raises(ValueError):
        account_order(entry)


def test_the_command_line_has_sensible_defaults():
    options = parse([])
    assert options.listen.is_loopback
    assert options.speed == 60.0


def test_only_loopback_is_listened_on():
    with pytest.raises(Refused):
        parse(["--listen", "192.168.0.1:80"])
