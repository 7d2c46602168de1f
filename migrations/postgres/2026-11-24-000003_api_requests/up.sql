-- Every request to CallRail's API of the last 24 hours: what the account's limits are counted from.
create table trunkline.api_requests (
    id uuid primary key,
    class text not null check (class in ('backfill', 'repair', 'interactive', 'recording')),
    requested_at timestamptz not null
);
create index api_requests_time on trunkline.api_requests (requested_at);
create index api_requests_class on trunkline.api_requests (class, requested_at);

-- What CallRail last told of the account's use. Always one row: whoever counts requests locks it first.
create table trunkline.api_usage (
    id bigint primary key check (id = 1),
    reported_at timestamptz,
    hour_by_others bigint,
    hour_allowed bigint,
    day_by_others bigint,
    day_allowed bigint
);
insert into trunkline.api_usage (id) values (1);
