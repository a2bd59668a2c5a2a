-- What the platform tells of a line when it stores many at once: one parameter instead of a list for every column.

create type trade_log_line as (
    engine_id text,
    id text,
    category text,
    message text,
    reason text,
    strategy_id text,
    symbol text,
    order_id text,
    severity text,
    at timestamptz,
    quarantined boolean
);
