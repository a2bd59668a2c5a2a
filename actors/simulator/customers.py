"""Who may call the simulated broker: app keys, access tokens, approval keys, and the call limit. Pure: time comes in.

Rules of the real service: a token is valid 24 hours; asked again within 6 hours the same one is given; a second issue
inside 60 seconds is refused, which is looked at first. Calls are counted per app key over a sliding second.
"""

import secrets
from collections import deque
from collections.abc import Iterable

import attrs

from wire.exchange.fees import DEFAULT_FEES, FeeSchedule
from wire.kis.codes import SERVICES, Profile

TOKEN_SECONDS = 86_400
SAME_TOKEN_SECONDS = 6 * 3_600
ISSUE_SECONDS = 60
WINDOW_SECONDS = 1.0


@attrs.frozen(kw_only=True)
class Customer:
    """One account with its keys. ``account`` is ten digits; ``hts_id`` is the key of the notice stream."""

    account: str
    app_key: str = attrs.field(repr=False)
    app_secret: str = attrs.field(repr=False)
    hts_id: str
    profile: Profile = Profile.REAL
    name: str = "TESTER"
    fees: FeeSchedule = DEFAULT_FEES

    @property
    def branch(self) -> str:
        """The branch number its orders carry."""
        return "00950" if self.profile is Profile.MOCK else "91252"


@attrs.frozen(kw_only=True)
class Token:
    """An access token; ``issued`` and ``expires`` are on the caller's clock, in seconds."""

    value: str = attrs.field(repr=False)
    issued: float
    expires: float


class TooSoon(Exception):
    """A token was asked for less than a minute after the last one."""


class Customers:
    """The known customers and everything that was handed out to them."""

    def __init__(self, known: Iterable[Customer] = ()) -> None:
        self._by_key: dict[str, Customer] = {}
        self._by_account: dict[str, Customer] = {}
        self._tokens: dict[str, Token] = {}
        self._asked: dict[str, float] = {}
        self._approvals: dict[str, str] = {}
        self._calls: dict[str, deque[float]] = {}
        for customer in known:
            self.add(customer)

    def everyone(self) -> tuple[Customer, ...]:
        return tuple(self._by_key.values())

    def add(self, customer: Customer, *, replace: bool = False) -> None:
        """A new customer, or the same one again. ValueError when its key or account belongs to another.

        With ``replace`` the account's earlier keys are forgotten instead.
        """
        former = self._by_account.get(customer.account)
        if replace and former is not None:
            del self._by_account[former.account], self._by_key[former.app_key]
        for known in (self._by_key.get(customer.app_key), self._by_account.get(customer.account)):
            if known is not None and known != customer:
                raise ValueError("the app key or the account is taken")
        self._by_key[customer.app_key] = customer
        self._by_account[customer.account] = customer

    def of_account(self, account: str) -> Customer | None:
        return self._by_account.get(account)

    def of_key(self, app_key: str) -> Customer | None:
        return self._by_key.get(app_key)

    def authenticated(self, app_key: str, app_secret: str) -> Customer | None:
        """The customer of this pair, or None."""
        customer = self._by_key.get(app_key)
        known = customer is not None and secrets.compare_digest(
            customer.app_secret.encode(), app_secret.encode(errors="replace")
        )
        return customer if known else None

    def issue_token(self, customer: Customer, now: float) -> Token:
        """A token. Raises TooSoon inside a minute of the last issue."""
        asked = self._asked.get(customer.app_key)
        if asked is not None and now - asked < ISSUE_SECONDS:
            raise TooSoon
        self._asked[customer.app_key] = now
        token = self._tokens.get(customer.app_key)
        if token is None or now - token.issued >= SAME_TOKEN_SECONDS or now >= token.expires:
            token = Token(value=_token_text(), issued=now, expires=now + TOKEN_SECONDS)
            self._tokens[customer.app_key] = token
        return token

    def revoke_token(self, customer: Customer, value: str) -> bool:
        """Whether this was the customer's token; it is none any more."""
        token = self._tokens.get(customer.app_key)
        if token is None or token.value != value:
            return False
        del self._tokens[customer.app_key]
        return True

    def expire_token(self, customer: Customer, now: float) -> None:
        """Let the customer's token end now, as if a day had passed."""
        token = self._tokens.get(customer.app_key)
        if token is not None:
            self._tokens[customer.app_key] = attrs.evolve(token, expires=now)

    def token_problem(self, customer: Customer, value: str, now: float) -> str | None:
        """The broker's code for a token that is not good, or None."""
        token = self._tokens.get(customer.app_key)
        if token is None or not secrets.compare_digest(token.value.encode(), value.encode(errors="replace")):
            return "EGW00121"
        return "EGW00123" if now >= token.expires else None

    def approve(self, customer: Customer) -> str:
        """The customer's approval key for the stream; the same one as long as the simulator runs."""
        if customer.app_key not in self._approvals:
            text = secrets.token_hex(16)
            self._approvals[customer.app_key] = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        return self._approvals[customer.app_key]

    def approved(self, approval_key: str) -> Customer | None:
        """Whose approval key this is."""
        for app_key, known in self._approvals.items():
            if secrets.compare_digest(known.encode(), approval_key.encode(errors="replace")):
                return self._by_key[app_key]
        return None

    def may_call(self, customer: Customer, now: float) -> bool:
        """Whether one more call fits into the last second; it is counted when it does."""
        calls = self._calls.setdefault(customer.app_key, deque())
        while calls and calls[0] <= now - WINDOW_SECONDS:
            calls.popleft()
        if len(calls) >= SERVICES[customer.profile].calls_per_second:
            return False
        calls.append(now)
        return True


def new_app_key() -> str:
    return "PS" + secrets.token_urlsafe(40).replace("-", "x").replace("_", "y")[:34]


def new_app_secret() -> str:
    return secrets.token_urlsafe(160)[:180]


def _token_text() -> str:
    return ".".join(("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9", secrets.token_urlsafe(150), secrets.token_urlsafe(64)))
