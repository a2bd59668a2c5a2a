"""The engine's configuration file. Every mistake is one clear line; nothing is guessed.

credential_file = "engine.json"     # made by `watchkeeper engines add`
trading_mode = "paper"              # or "live"
symbols = ["005930", "000660"]

[broker]
kind = "kis"
profile = "mock"                    # or "real"
app_key = "..."                     # or from the platform, sealed to this engine's key
app_secret = "..."
hts_id = "..."
account = "12345678-01"

[[strategies]]
id = "cross"
name = "Moving averages"
kind = "ma_cross"
symbols = ["005930"]
parameters = { maxPositionSize = 10 }
"""

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from actors.engine.kis import KisAccount
from actors.engine.ma_cross import MovingAverageCross
from actors.engine.orders import UNOWNED
from actors.engine.risk.plan import RiskPlan, read_plan
from actors.engine.strategy import Strategy
from actors.engine.strategy_actor import StrategyPlan
from actors.errors import Refused
from wire.exchange.fees import DEFAULT_FEES, FeeSchedule
from wire.kis.codes import Profile
from wire.sdk.errors import InvalidParameters
from wire.sdk.parameters import validated
from wire.stops import IDENTIFIER
from wire.values import TradingMode

STRATEGIES: dict[str, Strategy[Any]] = {"ma_cross": MovingAverageCross()}
_SYMBOL = re.compile(r"[A-Z0-9]{6,7}")
_MOST_SYMBOLS = 40  # registrations of one stream: 41, one of them for the notices
_KEYS = ("app_key", "app_secret", "hts_id", "account")


@attrs.frozen(kw_only=True)
class EngineConfig:
    """``broker`` lacks its keys where they come from the platform."""

    path: Path
    credential_file: Path
    state_folder: Path
    token_folder: Path
    trading_mode: TradingMode
    symbols: tuple[str, ...]
    profile: Profile
    rest_url: str
    stream_url: str
    keys: dict[str, str] = attrs.field(repr=False)
    fees: FeeSchedule
    strategies: tuple[StrategyPlan, ...]
    risk: RiskPlan = attrs.field(factory=RiskPlan)

    def account(self, keys: dict[str, str]) -> KisAccount:
        """The account with its keys. Raises Refused when one is missing or malformed."""
        for name in _KEYS:
            if not keys.get(name):
                raise Refused(f"{self.path}: [broker] has no {name}, and the platform gave none")
        number = keys["account"].replace("-", "")
        if not re.fullmatch(r"[0-9]{10}", number):
            raise Refused(f"{self.path}: [broker] account must be ten digits, written 12345678-01")
        return KisAccount(
            profile=self.profile,
            app_key=keys["app_key"],
            app_secret=keys["app_secret"],
            hts_id=keys["hts_id"],
            account=number,
            rest_url=self.rest_url,
            stream_url=self.stream_url,
        )


def read_config(path: Path, home: Path) -> EngineConfig:
    """Raises Refused with one line. Relative paths start at the file; state lies in ``home`` by default."""
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(f"configuration file {path} does not exist") from None
    except OSError as error:
        raise Refused(f"configuration file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"configuration file {path} is not TOML: {error}") from None
    return _Reader(path, plain).config(home)


class _Reader:
    def __init__(self, path: Path, plain: dict[str, Any]) -> None:
        self._path = path
        self._plain = plain

    def config(self, home: Path) -> EngineConfig:
        plain = self._plain
        symbols = self._symbols(plain.get("symbols"), "symbols")
        broker = plain.get("broker")
        if not isinstance(broker, dict):
            raise self._refuse("has no [broker] section")
        if broker.get("kind", "kis") != "kis":
            raise self._refuse('[broker] kind must be "kis"')
        credential = self._text(plain, "credential_file", "")
        state = self._text(plain, "state_dir", required=False)
        tokens = self._text(plain, "token_dir", required=False)
        return EngineConfig(
            path=self._path,
            credential_file=self._relative(credential),
            state_folder=self._relative(state) if state else home / "engines" / self._path.stem,
            token_folder=self._relative(tokens) if tokens else home / "tokens",
            trading_mode=self._choice(plain, "trading_mode", TradingMode, TradingMode.PAPER),
            symbols=symbols,
            profile=self._choice(broker, "profile", Profile, Profile.MOCK, "[broker] "),
            rest_url=self._url(broker, "rest_url", ("http", "https")),
            stream_url=self._url(broker, "ws_url", ("ws", "wss")),
            keys={name: self._text(broker, name, "[broker] ", required=False) for name in _KEYS},
            fees=FeeSchedule(commission_ppm=self._whole(broker, "commission_ppm", DEFAULT_FEES.commission_ppm)),
            strategies=self._strategies(symbols),
            risk=self._risk(plain.get("risk")),
        )

    def _strategies(self, symbols: tuple[str, ...]) -> tuple[StrategyPlan, ...]:
        entries = self._plain.get("strategies")
        if not isinstance(entries, list) or not entries:
            raise self._refuse("has no [[strategies]]")
        plans = tuple(self._strategy(entry, i + 1, symbols) for i, entry in enumerate(entries))
        if len({plan.id for plan in plans}) != len(plans):
            raise self._refuse("has two strategies with the same id")
        return plans

    def _strategy(self, entry: Any, number: int, symbols: tuple[str, ...]) -> StrategyPlan:
        where = f"strategy {number} "
        if not isinstance(entry, dict):
            raise self._refuse(f"{where}must be a table")
        strategy_id = self._text(entry, "id", where)
        if not re.fullmatch(IDENTIFIER, strategy_id) or strategy_id == UNOWNED:
            raise self._refuse(f"{where}id must be letters, digits and _.:- (at most 64), and not {UNOWNED!r}")
        strategy = STRATEGIES.get(self._text(entry, "kind", where))
        if strategy is None:
            raise self._refuse(f"{where}kind must be one of {', '.join(STRATEGIES)}")
        mine = self._symbols(entry["symbols"], f"{where}symbols") if "symbols" in entry else symbols
        if not set(mine) <= set(symbols):
            raise self._refuse(f"{where}trades symbols that are not in symbols")
        parameters = entry.get("parameters", {})
        try:
            validated(strategy.schema, strategy.defaults, parameters)
        except (InvalidParameters, TypeError, AttributeError) as error:
            raise self._refuse(f"{where}parameters: {getattr(error, 'reason', 'must be a table of numbers')}") from None
        return StrategyPlan(
            id=strategy_id,
            name=self._text(entry, "name", where, required=False) or strategy_id,
            strategy=strategy,
            symbols=mine,
            parameters=dict(parameters),
        )

    def _symbols(self, value: Any, name: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or len(value) > _MOST_SYMBOLS:
            raise self._refuse(f"{name} must be a list of 1 to {_MOST_SYMBOLS} stock codes")
        for symbol in value:
            if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
                raise self._refuse(f'{name} must be stock codes like "005930", in quotes')
        return tuple(dict.fromkeys(value))

    def _text(self, table: dict[str, Any], name: str, where: str = "", *, required: bool = True) -> str:
        value = table.get(name, "")
        if not isinstance(value, str):
            raise self._refuse(f"{where}{name} must be a text in quotes")
        if required and not value:
            raise self._refuse(f"{where}has no {name}" if where else f"has no {name}")
        return value

    def _choice(self, table: dict[str, Any], name: str, kind: Any, default: Any, where: str = "") -> Any:
        value = table.get(name, default.value)
        allowed = [member.value for member in kind]
        if value not in allowed:
            raise self._refuse(f"{where}{name} must be one of {', '.join(allowed)}")
        return kind(value)

    def _url(self, table: dict[str, Any], name: str, schemes: tuple[str, ...]) -> str:
        value = self._text(table, name, "[broker] ", required=False)
        parts = urlsplit(value)
        if value and (parts.scheme not in schemes or not parts.hostname):
            raise self._refuse(f"[broker] {name} must be an address like {schemes[0]}://127.0.0.1:8710")
        return value

    def _whole(self, table: dict[str, Any], name: str, default: int) -> int:
        value = table.get(name, default)
        if type(value) is not int or not 0 <= value <= 100_000:
            raise self._refuse(f"[broker] {name} must be a whole number from 0 to 100000")
        return value

    def _risk(self, table: Any) -> RiskPlan:
        try:
            return read_plan(table)
        except ValueError as error:
            raise self._refuse(f"[risk] {error}") from None

    def _relative(self, text: str) -> Path:
        return (self._path.parent / Path(text).expanduser()).resolve()

    def _refuse(self, what: str) -> Refused:
        return Refused(f"configuration file {self._path} {what}")
