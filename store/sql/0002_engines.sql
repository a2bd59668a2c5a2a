-- Engines that may connect, and where each one's link stands.

create table engines (
    engine_id text primary key,
    name text not null,
    account_id text not null,
    secret_hash bytea not null,                 -- keyed; the secret itself is 256 random bits
    public_key text,
    version text,
    trading_mode text,
    last_seen_at timestamptz,
    created_at timestamptz not null default now(),
    rotated_at timestamptz,
    deregistered_at timestamptz
);
create unique index one_engine_per_account on engines (account_id) where deregistered_at is null;
create unique index engines_name on engines (name) where deregistered_at is null;

create table engine_links (
    engine_id text primary key references engines (engine_id) on delete cascade,
    session text not null,
    epoch bigint not null,                      -- of the session: +1 for every new one
    instance text not null,
    last_recv bigint not null default 0,        -- committed, in the same transaction as what was received
    next_seq bigint not null default 1,
    opened_at timestamptz not null,
    updated_at timestamptz not null
);
