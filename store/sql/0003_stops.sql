-- The register of stops, one of its copies; the others are the journal, the memory and the engines' latches.

create table stops (
    cursor bigint generated always as identity unique,
    stop_id text primary key,
    request_id text not null,
    scope text not null,
    level text not null
        constraint stop_level check (level in ('NORMAL', 'REDUCE_ONLY', 'HALT', 'CANCEL', 'FLATTEN')),
    stop_epoch bigint not null check (stop_epoch > 0),
    released_epoch bigint,
    term bigint not null,
    user_id text not null,
    reason text not null,
    cause text not null,
    drill boolean not null default false,
    requested_at timestamptz not null,
    released_at timestamptz,
    delivered integer not null default 0,
    engines integer not null default 0,
    durable boolean not null default true,
    state text not null default 'running',
    results json not null default '[]',
    timeline json not null default '[]'
);
create index stops_open on stops (cursor) where released_epoch is null;

create table stop_requests (                    -- a raise has its own request_id and the stop_id of what it raised
    request_id text primary key,
    stop_id text not null references stops (stop_id),
    at timestamptz not null
);

create table stop_releases (
    cursor bigint generated always as identity unique,
    id text primary key,
    stop_id text not null references stops (stop_id),
    state text not null
        constraint release_state check (state in ('requested', 'approved', 'released', 'void')),
    epoch bigint not null,
    requested_by text not null,
    reason text not null,
    resume boolean not null,
    waive json not null default '[]',
    checklist json not null default '[]',
    requested_at timestamptz not null,
    not_before timestamptz,
    approved_by text,
    decided_at timestamptz
);
create unique index one_release_at_a_time on stop_releases (stop_id) where state in ('requested', 'approved');
