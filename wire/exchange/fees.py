"""What a fill costs: commission on both sides, tax on a sale. Whole won, computed per fill.

This is the only place with the formula. The simulator charges by it and the engines keep their books by it, so both
agree to the won. Source: sell tax since 2026-01-01 (0.05 % transaction tax and 0.15 % special tax, each part cut to
the won); the commission is the account's tariff, therefore a setting. KIS mock: 140 won on 995,000, about 0.0141 %.
"""

from enum import StrEnum

import attrs
from attrs.validators import ge


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


@attrs.frozen(kw_only=True)
class FeeSchedule:
    """The rates of an account: commission in parts per million, taxes in basis points (1/10,000)."""

    commission_ppm: int = attrs.field(default=141, validator=ge(0))
    commission_unit: int = attrs.field(default=1, validator=ge(1))  # the commission is cut to a multiple of this (won)
    transaction_tax_bp: int = attrs.field(default=5, validator=ge(0))
    rural_tax_bp: int = attrs.field(default=15, validator=ge(0))


DEFAULT_FEES = FeeSchedule()


@attrs.frozen(kw_only=True)
class Charges:
    """One fill in won: its value, what the broker and the state take of it, and the change of cash it makes."""

    value: int
    fee: int
    tax: int
    cash: int  # negative for a buy


def commission(value: int, schedule: FeeSchedule = DEFAULT_FEES) -> int:
    """The commission (won) on a fill of ``value`` won."""
    exact = value * schedule.commission_ppm // 1_000_000
    return exact - exact % schedule.commission_unit


def sell_tax(value: int, schedule: FeeSchedule = DEFAULT_FEES) -> int:
    """The tax (won) on a sale of ``value`` won; each of the two parts is cut to the won by itself."""
    return value * schedule.transaction_tax_bp // 10_000 + value * schedule.rural_tax_bp // 10_000


def charges(side: Side, price: int, quantity: int, schedule: FeeSchedule = DEFAULT_FEES) -> Charges:
    """The charges of one fill of ``quantity`` shares at ``price`` won."""
    value = price * quantity
    fee = commission(value, schedule)
    if side is Side.BUY:
        return Charges(value=value, fee=fee, tax=0, cash=-(value + fee))
    tax = sell_tax(value, schedule)
    return Charges(value=value, fee=fee, tax=tax, cash=value - fee - tax)


def buy_cost(value: int, schedule: FeeSchedule = DEFAULT_FEES) -> int:
    """The cash (won) a buy of ``value`` won takes."""
    return value + commission(value, schedule)


def sell_net(value: int, schedule: FeeSchedule = DEFAULT_FEES) -> int:
    """The cash (won) a sale of ``value`` won brings."""
    return value - commission(value, schedule) - sell_tax(value, schedule)
