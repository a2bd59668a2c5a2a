"""Who an engine is to the platform."""

import attrs


@attrs.frozen(kw_only=True)
class Identity:
    """``account_id``: the one broker account this engine trades."""

    engine_id: str
    account_id: str
    name: str
