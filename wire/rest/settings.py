"""The settings of the desk: broker accounts, preferences, limits; and what comes of trying broker keys."""

from datetime import datetime
from enum import Enum
from typing import Annotated

from wire.rest.access import Credential
from wire.schema import C, message
from wire.stops import Identifier
from wire.values import Millis, Name, Sequence, Text


class BrokerageType(Enum):
    KIWOOM = "kiwoom"
    KIS = "kis"
    SAMSUNG = "samsung"


@message
class SecretState:
    """What a browser may know of a stored secret: never the value."""

    set: bool
    fingerprint: Annotated[str, C(max_length=32)] | None = None
    updated_at: datetime | None = None


@message
class BrokerageAccount:
    """A broker account as it is read: secrets masked. ``last_validated``: when the broker last took exactly the keys
    that are kept (POST /api/settings/validate with them); null: not since they are kept."""

    id: Identifier
    name: Name
    type: BrokerageType
    api_key: SecretState
    api_secret: SecretState
    account_number: Annotated[str, C(max_length=32)]
    is_active: bool
    last_validated: datetime | None


@message
class BrokerageAccountInput:
    """A broker account as it is saved. A secret left out or {"set": true} is kept, a string replaces, null deletes."""

    id: Identifier
    name: Name
    type: BrokerageType
    account_number: Annotated[str, C(max_length=32)]
    api_key: Credential | SecretState | None = SecretState(set=True)
    api_secret: Credential | SecretState | None = SecretState(set=True)
    is_active: bool = True


@message
class SystemPreferences:
    theme: Annotated[str, C(pattern="dark|light|contrast")] = "dark"
    notifications_enabled: bool = True
    auto_save_interval: Annotated[int, C(unit="s", ge=5, le=3600)] = 30
    default_chart_timeframe: Annotated[str, C(pattern="1m|5m|15m|1h|1d")] = "1h"
    language: Annotated[str, C(pattern="ko|en")] = "ko"
    updown: Annotated[str, C(pattern="kr|us")] = "kr"


@message
class RiskLimits:
    """The desk's limits; loosening any of them needs the risk role. Money in won."""

    max_daily_loss: Annotated[int, C(unit="won", ge=0, le=10**15)] = 10_000_000
    max_position_size: Annotated[int, C(unit="won", ge=0, le=10**15)] = 100_000_000
    max_concurrent_positions: Annotated[int, C(ge=0, le=10_000)] = 20
    emergency_stop_loss: Annotated[int, C(unit="won", ge=0, le=10**15)] = 20_000_000


@message
class UserSettings:
    id: Identifier
    user_id: Identifier
    brokerage_accounts: list[BrokerageAccount]
    system_preferences: SystemPreferences
    risk_limits: RiskLimits
    created_at: datetime
    updated_at: datetime
    config_version: Sequence


@message
class UserSettingsInput:
    brokerage_accounts: Annotated[list[BrokerageAccountInput], C(max_length=100)]
    system_preferences: SystemPreferences
    risk_limits: RiskLimits


@message
class BrokerageCredentials:
    """What POST /api/settings/validate tests. ``profile`` says which of the broker's two hosts the keys are for."""

    brokerage_type: BrokerageType
    api_key: Credential
    api_secret: Credential
    account_number: Annotated[str, C(min_length=1, max_length=32)]
    profile: Annotated[str, C(pattern="real|mock")] = "real"


@message
class Check:
    name: Annotated[str, C(pattern="format|token|account")]
    ok: bool
    reason: Text
    ms: Millis


@message
class ValidationResult:
    is_valid: bool
    errors: list[Text]
    warnings: list[Text]
    checks: list[Check]
