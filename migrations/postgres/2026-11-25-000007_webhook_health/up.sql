-- Whether webhooks come, as the reconciler found it last: for those who are asked in another process. Always one row.
create table trunkline.webhook_health (
    id bigint primary key check (id = 1),
    counted_at timestamptz,
    gap bigint,
    silent_since timestamptz,
    checked_at timestamptz,
    integration_state text
);
insert into trunkline.webhook_health (id) values (1);
