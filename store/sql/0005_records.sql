-- What engines tell. Money is whole won in bigint. Duplicates die on (engine_id, id). A cursor is given in the order of
-- commits, because writers take one advisory lock.

create table trade_logs (
    cursor bigint generated always as identity unique,
    engine_id text not null,
    id text not null,
    category text not null constraint log_category check (category in ('System', 'Strategy', 'Trade')),
    message text not null,
    reason text constraint trade_has_a_reason check (category <> 'Trade' or coalesce(btrim(reason), '') <> ''),
    strategy_id text,
    symbol text,
    order_id text,
    severity text,
    at timestamptz not null,
    received_at timestamptz not null default now(),
    primary key (engine_id, id)
);
create index trade_logs_of_engine on trade_logs (engine_id, cursor);

create table order_updates (
    cursor bigint generated always as identity unique,
    engine_id text not null,
    id text not null,
    order_id text not null,
    broker_order_id text not null,
    strategy_id text not null,
    symbol text not null,
    side text not null constraint order_side check (side in ('buy', 'sell')),
    quantity bigint not null check (quantity >= 0),
    price bigint not null check (price >= 0),
    status text not null,
    filled bigint not null,
    reason text,
    at timestamptz not null,
    received_at timestamptz not null default now(),
    primary key (engine_id, id)
);
create index order_updates_of_order on order_updates (engine_id, order_id, cursor);

create table fills (
    cursor bigint generated always as identity unique,
    engine_id text not null,
    id text not null,
    order_id text not null,
    strategy_id text not null,
    symbol text not null,
    side text not null constraint fill_side check (side in ('buy', 'sell')),
    quantity bigint not null check (quantity > 0),
    price bigint not null check (price >= 0),
    fee bigint not null,
    tax bigint not null,
    at timestamptz not null,
    received_at timestamptz not null default now(),
    primary key (engine_id, id)
);
create index fills_of_engine on fills (engine_id, cursor);

create table error_reports (
    cursor bigint generated always as identity unique,
    engine_id text not null,
    id text not null,
    code text not null constraint error_code check (code ~ '^error_[a-z0-9_]+$'),
    category text not null,
    reason text not null,
    severity text not null,
    degraded boolean not null,
    at timestamptz not null,
    received_at timestamptz not null default now(),
    primary key (engine_id, id)
);

create table account_snapshots (
    engine_id text not null,
    trading_day date not null,
    equity bigint not null,
    cash bigint not null,
    realized_pnl bigint not null,
    as_of timestamptz not null,
    primary key (engine_id, trading_day)
);

create table dead_letters (
    cursor bigint generated always as identity unique,
    id text primary key,
    engine_id text not null,
    kind text not null,
    payload text not null,
    reason text not null,
    state text not null default 'open' constraint letter_state check (state in ('open', 'retried', 'discarded')),
    at timestamptz not null,
    decided_by text,
    decided_at timestamptz
);
