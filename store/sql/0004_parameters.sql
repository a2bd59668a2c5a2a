-- Parameters of strategies: every version ever asked for, the one wanted now, and what the engine says it runs.

create table parameter_versions (
    engine_id text not null,
    strategy_id text not null,
    version bigint not null,
    base_version bigint not null,
    request_id text not null constraint parameter_request unique,
    parameters json not null,
    status text not null constraint update_status
        check (status in ('pending', 'applied', 'failed', 'expired', 'applied_late')),
    user_id text not null,
    at timestamptz not null,
    applied_at timestamptz,
    effective json,
    error text,
    reason text,
    primary key (engine_id, strategy_id, version)
);
create index parameters_pending on parameter_versions (at) where status = 'pending';

create table parameter_heads (
    engine_id text not null,
    strategy_id text not null,
    version bigint not null,                    -- wanted now; compare-and-set is against this one
    latest bigint not null,                     -- the highest number ever given
    primary key (engine_id, strategy_id)
);

create table parameter_effective (
    engine_id text not null,
    strategy_id text not null,
    version bigint not null,
    parameters json not null,
    parameter_schema json not null default '{}',
    at timestamptz not null,
    primary key (engine_id, strategy_id)
);
