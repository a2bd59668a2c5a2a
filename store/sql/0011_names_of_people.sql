-- What the people were called who stopped and acknowledged, as it was then; of earlier rows, as far as it is known.

alter table stops add column username text;
update stops set username = users.username from users where users.id = stops.user_id;

alter table alerts add column acknowledged_by_name text;
update alerts set acknowledged_by_name = users.username from users where users.id = alerts.acknowledged_by;
