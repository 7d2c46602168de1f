-- Whether webhooks come, as the reconciler found it last: for those who are asked in another process. Always one row.
create table webhook_health (
    id integer primary key not null check (id = 1),
    counted_at text,
    gap integer,
    silent_since text,
    checked_at text,
    integration_state text
);
insert into webhook_health (id) values (1);
