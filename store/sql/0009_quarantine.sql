-- A log line that was not valid is kept as a row of the logs: message is an excerpt, reason what was wrong.

alter table trade_logs add column quarantined boolean not null default false;
