-- The platform itself: who it is, its term, people, what they did.

create table platform (
    one boolean primary key default true check (one),
    platform_id text not null default gen_random_uuid()::text,
    database_id text not null default gen_random_uuid()::text,
    term bigint not null default 0,             -- +1 at each start; every epoch write compares it
    epoch bigint not null default 0,            -- the highest stop epoch this database has seen
    journal_generation bigint,                  -- null: no stop journal was ever begun
    key_check text,                             -- tells a foreign key ring
    created_at timestamptz not null default now()
);
insert into platform default values;

create table users (
    id text primary key,
    username text not null,
    password_hash text not null,
    role text not null constraint user_role check (role in ('viewer', 'operator', 'risk', 'admin')),
    enabled boolean not null default true,
    totp bytea,                                 -- sealed
    token_epoch bigint not null default 0,      -- raised to revoke every access token of the user
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index users_username on users (lower(username));

create table login_sessions (
    id text primary key,
    user_id text not null references users (id) on delete cascade,
    token_hash bytea not null,
    previous_hash bytea,                        -- seen again: the token was stolen, and the session ends
    auth_time timestamptz not null,
    created_at timestamptz not null,
    used_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    origin text not null default ''
);
create unique index login_sessions_token on login_sessions (token_hash);
create index login_sessions_previous on login_sessions (previous_hash);
create index login_sessions_user on login_sessions (user_id);

create table idempotency (
    user_id text not null,
    route text not null,
    key text not null,
    body_hash bytea not null,
    status integer,                             -- null while the first request is still at work
    answer text,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (user_id, route, key)
);
create index idempotency_expires on idempotency (expires_at);

create table audit (
    seq bigint primary key,
    id text not null constraint audit_id unique,
    prev_hash bytea not null,
    hash bytea not null,
    at timestamptz not null,
    actor text not null,
    action text not null,
    target text not null,
    detail json not null                        -- json, not jsonb: the hash is over its exact text
);

create table alerts (
    cursor bigint generated always as identity unique,
    id text primary key,
    code text not null,
    severity text not null constraint alert_severity check (severity in ('info', 'warning', 'error', 'critical')),
    reason text not null,
    engine_id text,
    stop_id text,
    state text not null default 'open' constraint alert_state check (state in ('open', 'acknowledged', 'resolved')),
    raised_at timestamptz not null,
    acknowledged_by text,
    acknowledged_at timestamptz,
    resolved_at timestamptz
);
create index alerts_open on alerts (cursor) where state = 'open';
