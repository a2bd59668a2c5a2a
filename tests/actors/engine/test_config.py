"""What a person writes into the engine's files, what is said of mistakes, and the validation of broker keys."""

import json

import pytest

from actors.engine.config import read_config
from actors.engine.main import run
from actors.engine.validate import ValidationSetup, validate_credentials
from actors.errors import REFUSED, Refused
from wire.rest.settings import BrokerageCredentials, BrokerageType
from wire.sdk.errors import ConfigurationError
from wire.sdk.folder import lock
from wire.sdk.platform import read_credential
from wire.values import TradingMode

GOOD = """
credential_file = "engine.json"
symbols = ["005930", "000660"]
[broker]
profile = "mock"
[[strategies]]
id = "cross"
kind = "ma_cross"
parameters = { maxPositionSize = 4 }
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "engine.toml"
        path.write_text(text)
        return path

    return write


def test_a_short_file_is_enough(write, tmp_path):
    config = read_config(write(GOOD), tmp_path / "home")
    assert config.trading_mode is TradingMode.PAPER
    assert config.credential_file == tmp_path / "engine.json"
    assert config.state_folder == tmp_path / "home" / "engines" / "engine"
    (plan,) = config.strategies
    assert (plan.id, plan.symbols, plan.parameters) == ("cross", ("005930", "000660"), {"maxPositionSize": 4})


MISTAKES = {
    "is not TOML": ("symbols", "symbols ="),
    "has no [broker] section": ("[broker]", "[brokers]"),
    "kind must be": ('profile = "mock"', 'kind = "other"'),
    "profile must be one of real, mock": ('"mock"', '"paper"'),
    "stock codes": ('"000660"', "660"),
    "has no credential_file": ('credential_file = "engine.json"', ""),
    "kind must be one of ma_cross": ("ma_cross", "magic"),
    "maxPositionSize must be between": ("= 4", "= 0"),
    "leverage is not a parameter": ("maxPositionSize", "leverage"),
    "id must be letters": ('"cross"', '"unowned"'),
    "rest_url must be an address": ('profile = "mock"', 'rest_url = "broker"'),
    "not in symbols": ('kind = "ma_cross"', 'kind = "ma_cross"\nsymbols = ["035420"]'),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_every_mistake_is_one_line_that_names_the_file_and_the_matter(write, tmp_path, words):
    old, new = MISTAKES[words]
    path = write(GOOD.replace(old, new, 1))
    with pytest.raises(Refused) as refused:
        read_config(path, tmp_path)
    assert words in refused.value.message
    assert str(path) in refused.value.message
    assert "\n" not in refused.value.message.strip()


def test_keys_that_are_nowhere_are_named(write, tmp_path):
    config = read_config(write(GOOD), tmp_path)
    with pytest.raises(Refused, match="has no app_key"):
        config.account(config.keys)


def test_a_credential_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "engine.json"
    content = {"platform_url": "http://127.0.0.1:8701", "engine_id": "E1", "secret": "hush", "account_id": "A1"}
    path.write_text(json.dumps(content))
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_credential(path)
    path.chmod(0o600)
    credential = read_credential(path)
    assert credential.link_url == "ws://127.0.0.1:8701/ws/engine/E1"
    assert "hush" not in repr(credential)


def test_a_missing_credential_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigurationError, match="engines add"):
        read_credential(tmp_path / "nowhere.json")


def test_the_command_refuses_with_exit_code_three_and_one_line(tmp_path, capsys):
    assert run(tmp_path / "nowhere.toml") == REFUSED
    assert capsys.readouterr().err.count("\n") == 1


def test_two_processes_never_share_a_state_folder(tmp_path):
    held = lock(tmp_path / "state")
    assert held >= 0
    with pytest.raises(ConfigurationError, match="another process"):
        lock(tmp_path / "state")


# --- broker keys ---


def credentials(broker, **changes):
    values = {
        "brokerage_type": BrokerageType.KIS,
        "api_key": broker.keys["app_key"],
        "api_secret": broker.keys["app_secret"],
        "account_number": broker.keys["account"],
        "profile": broker.keys["profile"],
    }
    return BrokerageCredentials(**{**values, **changes})


async def test_keys_that_work_pass_format_token_and_account(broker, tmp_path):
    setup = ValidationSetup(token_folder=tmp_path / "tokens", rest_url=f"http://{broker.address}")
    for _ in range(2):  # the second time with the cached token
        checks = await validate_credentials(credentials(broker), setup)
        assert [(c.name, c.ok) for c in checks] == [("format", True), ("token", True), ("account", True)]


async def test_keys_the_broker_does_not_know_fail_at_the_token(broker, tmp_path):
    setup = ValidationSetup(token_folder=tmp_path / "tokens", rest_url=f"http://{broker.address}")
    checks = await validate_credentials(credentials(broker, api_secret="x" * 180), setup)
    assert [(c.name, c.ok) for c in checks] == [("format", True), ("token", False)]


async def test_a_malformed_key_never_reaches_the_broker(broker, tmp_path):
    setup = ValidationSetup(token_folder=tmp_path / "tokens", rest_url="http://127.0.0.1:9")
    (check,) = await validate_credentials(credentials(broker, api_key="short"), setup)
    assert (check.name, check.ok) == ("format", False)
    (check,) = await validate_credentials(credentials(broker, brokerage_type=BrokerageType.SAMSUNG), setup)
    assert "no connector" in check.reason
