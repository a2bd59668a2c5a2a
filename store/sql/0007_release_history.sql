-- A request for a release outlives the platform's process: what it had seen, and how it went on.

alter table stop_releases
    add column seen_epoch bigint not null default 0,  -- the register's highest epoch when it was asked for; 0: unknown
    add column history json not null default '[]';
