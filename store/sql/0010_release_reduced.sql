-- A release may hold strategies to small orders for its first minutes.

alter table stop_releases add column reduced json;
