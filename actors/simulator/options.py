"""The command line of the simulator and its accounts file."""

import argparse
import json
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import attrs

from actors.config import Address
from actors.errors import Refused
from actors.simulator.customers import Customer, new_app_key, new_app_secret
from wire.exchange.fees import FeeSchedule
from wire.kis.codes import Profile

DEFAULT_SPEED = 60.0
DEFAULT_CASH = 100_000_000
ANY_PORT = Address("127.0.0.1", 0)


@attrs.frozen(kw_only=True)
class AccountOrder:
    """A customer to create, with its opening cash in won."""

    customer: Customer
    cash: int = DEFAULT_CASH


@attrs.frozen(kw_only=True)
class SimulatorOptions:
    """How the simulator runs. ``speed`` is simulated seconds per real second of continuous trading.

    ``start`` is the first simulated day: by default the first of the file, or today without a file. ``closed`` is how
    many real seconds the market stays shut between two days.
    """

    home: Path
    listen: Address = ANY_PORT
    data: Path | None = None
    speed: float = DEFAULT_SPEED
    seed: int = 1
    accounts: tuple[AccountOrder, ...] = ()
    port_file: Path | None = None
    admin_token: str | None = attrs.field(default=None, repr=False)
    start: date | None = None
    closed: float = 0.0


def parse(argv: list[str]) -> SimulatorOptions:
    """The options of a command line. Raises Refused with one clear line; a wrong flag exits 2 as argparse does."""
    parser = argparse.ArgumentParser(prog="watchkeeper broker-sim", description="A broker that speaks the KIS API.")
    parser.add_argument("--data", type=Path, help="daily bars: code,date,open,high,low,close,volume")
    parser.add_argument("--listen", default="127.0.0.1:8710", metavar="ADDR", help="address; port 0 takes a free one")
    parser.add_argument("--speed", type=float, default=DEFAULT_SPEED, help="times real time (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path, default=Path("~/.watchkeeper/broker-sim"), help="where the books are kept")
    parser.add_argument("--accounts", type=Path, metavar="FILE", help="accounts to create, TOML or JSON")
    parser.add_argument("--port-file", type=Path, metavar="FILE", help="written with HOST:PORT when ready")
    parser.add_argument("--start", type=date.fromisoformat, metavar="DAY", help="first simulated day")
    parser.add_argument("--closed", type=float, default=0.0, metavar="S", help="real seconds between two days")
    flags = parser.parse_args(argv)
    if not 0 < flags.speed <= 100_000 or not 0 <= flags.closed <= 86_400:
        raise Refused("--speed must be above 0 and at most 100000, --closed between 0 and 86400")
    listen = Address.parse(flags.listen, "--listen")
    if not listen.is_loopback:
        raise Refused("--listen must be a loopback address: the simulator speaks plain HTTP")
    return SimulatorOptions(
        home=flags.home.expanduser(),
        listen=listen,
        data=flags.data,
        speed=flags.speed,
        seed=flags.seed,
        accounts=read_accounts(flags.accounts) if flags.accounts else (),
        port_file=flags.port_file,
        start=flags.start,
        closed=flags.closed,
    )


def read_accounts(path: Path) -> tuple[AccountOrder, ...]:
    """The accounts of a TOML or JSON file: a list ``accounts``. Raises Refused naming the file and the entry."""
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise Refused(f"cannot read the accounts file {path}: {error}") from error
    entries = content.get("accounts") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise Refused(f"the accounts file {path} has no list of accounts")
    orders = []
    for i, entry in enumerate(entries):
        try:
            orders.append(account_order(entry))
        except ValueError as error:
            raise Refused(f"the accounts file {path}, entry {i}: {error}") from error
    return tuple(orders)


def account_order(entry: Any) -> AccountOrder:
    """An account from a plain object; keys that are not given are made up. ValueError says what is wrong with it."""
    if not isinstance(entry, dict):
        raise ValueError("must be an object")
    account = _text(entry, "account").replace("-", "")
    if not re.fullmatch(r"[0-9]{10}", account):
        raise ValueError("account must be ten digits, written 12345678-01")
    cash, rate = entry.get("cash", DEFAULT_CASH), entry.get("commission_ppm", FeeSchedule().commission_ppm)
    if type(cash) is not int or type(rate) is not int or cash < 0 or not 0 <= rate <= 100_000:
        raise ValueError("cash (won) and commission_ppm must be whole numbers of at least 0")
    customer = Customer(
        account=account,
        app_key=_text(entry, "app_key", new_app_key()),
        app_secret=_text(entry, "app_secret", new_app_secret()),
        hts_id=_text(entry, "hts_id", f"hts{account}"),
        profile=Profile(_text(entry, "profile", "real")),
        name=_text(entry, "name", "TESTER"),
        fees=FeeSchedule(commission_ppm=rate),
    )
    return AccountOrder(customer=customer, cash=cash)


def _text(entry: dict[str, Any], name: str, default: str = "") -> str:
    value = entry.get(name, default)
    if not isinstance(value, str) or not value or "^" in value or "|" in value:
        raise ValueError(f"{name} must be a text without ^ and |")
    return value
