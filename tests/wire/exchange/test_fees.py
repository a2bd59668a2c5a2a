"""Commission and tax."""

from hypothesis import given
from hypothesis import strategies as st

from wire.exchange.fees import DEFAULT_FEES, FeeSchedule, Side, buy_cost, charges, commission, sell_net, sell_tax

VALUES = st.integers(1, 10**12)
RATES = st.builds(
    FeeSchedule,
    commission_ppm=st.integers(0, 5_000),
    commission_unit=st.sampled_from([1, 10]),
    rural_tax_bp=st.integers(0, 30),
)


def test_the_commission_is_the_measured_one():
    assert commission(995_000) == 140


def test_a_coarser_tariff_is_a_setting():
    kiwoom_mock = FeeSchedule(commission_ppm=3_500, commission_unit=10)
    assert commission(272_750, kiwoom_mock) == 950


def test_the_two_parts_of_the_tax_are_cut_apart():
    assert sell_tax(272_500) == 136 + 408


def test_a_buy_takes_value_and_commission_and_no_tax():
    bought = charges(Side.BUY, 248_750, 4)
    assert (bought.value, bought.fee, bought.tax, bought.cash) == (995_000, 140, 0, -995_140)


def test_a_sale_brings_the_value_less_commission_and_tax():
    sold = charges(Side.SELL, 272_500, 1)
    assert (sold.fee, sold.tax, sold.cash) == (38, 544, 272_500 - 38 - 544)


@given(VALUES, RATES)
def test_cost_and_net_bracket_the_value(value, rates):
    assert sell_net(value, rates) <= value <= buy_cost(value, rates)


@given(st.lists(VALUES, min_size=1, max_size=20), RATES)
def test_many_small_fills_never_cost_more_than_the_reservation_of_the_whole(values, rates):
    assert sum(buy_cost(value, rates) for value in values) <= buy_cost(sum(values), rates)


@given(st.sampled_from(Side), st.integers(1, 10**6), st.integers(1, 10**5))
def test_charges_are_the_two_formulas(side, price, quantity):
    made = charges(side, price, quantity)
    expected = -buy_cost(made.value) if side is Side.BUY else sell_net(made.value)
    assert made.cash == expected
    assert charges(side, price, quantity, DEFAULT_FEES) == made
