"""The three seats of the demo's desk: who they are, their keys and files, and how the platform comes to know them.

A seat's broker keys are made once and kept by the simulator's accounts file and, encrypted, by the platform; the engine
gets them from the platform, sealed to its own key. Nothing here is remade while it exists.
"""

import base64
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from nacl.public import PrivateKey

from actors.platform.services import Services
from actors.web.engines import enrol_engine, rotate_engine
from store import settings as user_settings
from store import users
from store.database import Connection
from store.keyring import KeyRing
from wire.rest.engines import EnrolRequest
from wire.rest.settings import BrokerageAccountInput, BrokerageType, RiskLimits, SystemPreferences, UserSettingsInput

DEMO = "demo"
OPENING_CASH = 300_000_000


@attrs.frozen(kw_only=True)
class Seat:
    """One engine: its broker account (ten digits), what it trades and how nervously."""

    engine_id: str
    name: str
    account: str
    symbols: tuple[str, ...]
    short_window: int
    long_window: int

    @property
    def account_id(self) -> str:
        return f"kis-{self.account[:8]}-{self.account[8:]}"

    @property
    def hts_id(self) -> str:
        return f"desk{self.engine_id}"


SEATS = (
    Seat(
        engine_id="alpha",
        name="Alpha",
        account="5012345601",
        symbols=("005930", "035420", "005380", "068270", "035720"),
        short_window=3,
        long_window=9,
    ),
    Seat(
        engine_id="bravo",
        name="Bravo",
        account="5012345701",
        symbols=("035720", "051910", "005930", "015760", "035420"),
        short_window=4,
        long_window=12,
    ),
    Seat(
        engine_id="charlie",
        name="Charlie",
        account="5012345801",
        symbols=("015760", "005380", "051910", "068270", "005930"),
        short_window=5,
        long_window=15,
    ),
)


@attrs.frozen(kw_only=True)
class BrokerKeys:
    app_key: str = attrs.field(repr=False)
    app_secret: str = attrs.field(repr=False)


async def prepare_desk(services: Services, folder: Path, broker: str) -> None:
    """Everything the simulator and the engines find when they start. ``broker``: host:port of the simulator."""
    keys = _broker_keys(folder / "accounts.json")
    await services.db.run(_save_accounts, services.keyring, keys, tx={})
    for seat in SEATS:
        await _credential(services, seat, folder / f"{seat.engine_id}.json")
        _write_private(folder / f"{seat.engine_id}.toml", _configuration(seat, broker))


def _broker_keys(path: Path) -> dict[str, BrokerKeys]:
    """The keys in the simulator's accounts file; the file is made when there is none."""
    if not path.exists():
        entries = [
            {
                "account": seat.account,
                "app_key": "PS" + secrets.token_hex(17),
                "app_secret": base64.b64encode(secrets.token_bytes(135)).decode(),
                "hts_id": seat.hts_id,
                "profile": "real",
                "name": seat.name.upper(),
                "cash": OPENING_CASH,
            }
            for seat in SEATS
        ]
        _write_private(path, json.dumps({"accounts": entries}, indent=1))
    entries = json.loads(path.read_text(encoding="utf-8"))["accounts"]
    return {e["account"]: BrokerKeys(app_key=e["app_key"], app_secret=e["app_secret"]) for e in entries}


async def _save_accounts(conn: Connection, ring: KeyRing, keys: dict[str, BrokerKeys]) -> None:
    """Puts the desk's accounts into the administrator's settings, unless there are settings already."""
    admin = await users.find(conn, "admin")
    now = datetime.now(UTC)
    if admin is None or (await user_settings.read(conn, admin.id, now)).config_version > 0:
        return
    given = UserSettingsInput(
        brokerage_accounts=[
            BrokerageAccountInput(
                id=seat.account_id,
                name=f"{seat.name} (KIS)",
                type=BrokerageType.KIS,
                account_number=f"{seat.account[:8]}-{seat.account[8:]}",
                api_key=keys[seat.account].app_key,
                api_secret=keys[seat.account].app_secret,
            )
            for seat in SEATS
        ],
        system_preferences=SystemPreferences(),
        risk_limits=RiskLimits(),
    )
    await user_settings.save(
        conn, ring, user_settings.Save(user_id=admin.id, expected_version=0, settings=given, now=now)
    )


async def _credential(services: Services, seat: Seat, path: Path) -> None:
    """The seat's credential file: enrolled at the first start, renewed when file and platform no longer agree."""
    known = services.enrolled.get(seat.engine_id)
    if known is not None and _is_there(path):
        return
    private = PrivateKey.generate()
    public = base64.b64encode(bytes(private.public_key)).decode()
    if known is None:
        request = EnrolRequest(engine_id=seat.engine_id, name=seat.name, account_id=seat.account_id, public_key=public)
        secret = (await enrol_engine(services, DEMO, request)).secret
    else:
        secret = (await rotate_engine(services, DEMO, seat.engine_id, public)).secret
    credential: dict[str, Any] = {
        "platform_url": f"http://{services.settings.engines}",
        "engine_id": seat.engine_id,
        "secret": secret,
        "account_id": seat.account_id,
        "private_key": base64.b64encode(bytes(private)).decode(),
    }
    _write_private(path, json.dumps(credential, indent=1))


def _configuration(seat: Seat, broker: str) -> str:
    """The engine's TOML. Its keys are not in it: the engine asks the platform for them."""
    return f"""\
# {seat.name}: written by `watchkeeper demo` at every start.
credential_file = "{seat.engine_id}.json"
trading_mode = "paper"
symbols = {json.dumps(seat.symbols)}

[broker]
kind = "kis"
profile = "real"
rest_url = "http://{broker}"
ws_url = "ws://{broker}"
hts_id = "{seat.hts_id}"

[[strategies]]
id = "ma"
name = "이동평균 교차"
kind = "ma_cross"
parameters = {{ shortWindow = {seat.short_window}, longWindow = {seat.long_window} }}
"""


def _is_there(path: Path) -> bool:
    return path.exists()


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, for this user alone."""
    new = path.with_suffix(path.suffix + ".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text, encoding="utf-8")
    new.rename(path)
