-- When the outside was told of an alert, and what remains of a stop when it is over.

alter table alerts add column told_at timestamptz;

create index trade_logs_received on trade_logs using brin (received_at);

create table incident_reports (
    stop_id text primary key references stops (stop_id),
    made_at timestamptz not null,
    complete boolean not null,
    report json not null
);
