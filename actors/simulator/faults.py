"""What a test can make the simulated broker do wrong."""

import attrs
from attrs.validators import ge


@attrs.frozen(kw_only=True)
class Faults:
    """The broker's faults for one account, or for all.

    The counts go down by one with each call they hit; a negative count never ends.
    """

    refuse_cancels: bool = False
    empty_balance: bool = False
    drop_notices: bool = False
    early_notices: bool = False  # notices come 0.15–0.4 s before the answer of their order
    closed: bool = False  # orders are refused as outside the trading hours
    limit_only: bool = False  # orders without a price are refused
    missing_pages: bool = False  # lists end after their first page
    lot: int = attrs.field(default=1, validator=ge(1))  # shares of a trading unit
    delay_ms: int = attrs.field(default=0, validator=ge(0))
    gateway_timeouts: int = 0  # order calls answered EGW00301
    gateway_executes: bool = True  # whether such a call was carried out nevertheless
    failing_reads: int = 0  # queries answered EGW00202

    def after_timeout(self) -> "Faults":
        return attrs.evolve(self, gateway_timeouts=_less(self.gateway_timeouts))

    def after_failed_read(self) -> "Faults":
        return attrs.evolve(self, failing_reads=_less(self.failing_reads))


def _less(count: int) -> int:
    return count - 1 if count > 0 else count


class FaultBoard:
    """The faults of each account; those without their own have the common ones."""

    def __init__(self) -> None:
        self._faults: dict[str, Faults] = {}

    def of(self, account: str) -> Faults:
        return self._faults.get(account) or self._faults.get("") or Faults()

    def set(self, account: str, faults: Faults) -> None:
        """``account`` empty: for all accounts, and no account keeps faults of its own."""
        if not account:
            self._faults.clear()
        self._faults[account] = faults

    def takes_timeout(self, account: str) -> Faults | None:
        """The faults when this order call must time out at the gateway, else None."""
        faults = self.of(account)
        if not faults.gateway_timeouts:
            return None
        self._faults[self._place(account)] = faults.after_timeout()
        return faults

    def takes_failed_read(self, account: str) -> bool:
        """Whether this query must fail at the gateway."""
        faults = self.of(account)
        if not faults.failing_reads:
            return False
        self._faults[self._place(account)] = faults.after_failed_read()
        return True

    def _place(self, account: str) -> str:
        return account if account in self._faults else ""
