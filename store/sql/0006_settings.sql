-- Settings of users. Broker keys are sealed outside the database; here they are opaque bytes.

create table user_settings (
    user_id text primary key references users (id) on delete cascade,
    id text not null constraint settings_id unique,
    config_version bigint not null,
    system_preferences json not null,
    max_daily_loss bigint not null check (max_daily_loss >= 0),
    max_position_size bigint not null check (max_position_size >= 0),
    max_concurrent_positions integer not null check (max_concurrent_positions >= 0),
    emergency_stop_loss bigint not null check (emergency_stop_loss >= 0),
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table broker_accounts (
    id text constraint broker_account_id primary key,
    user_id text not null references user_settings (user_id) on delete cascade,
    position integer not null,                  -- the order the user gave them
    name text not null,
    type text not null constraint broker_type check (type in ('kiwoom', 'kis', 'samsung')),
    account_number text not null,
    api_key bytea,
    api_key_fingerprint text,
    api_key_updated_at timestamptz,
    api_secret bytea,
    api_secret_fingerprint text,
    api_secret_updated_at timestamptz,
    is_active boolean not null,
    last_validated timestamptz
);
create index broker_accounts_of_user on broker_accounts (user_id, position);
