-- Every request to CallRail's API of the last 24 hours: what the account's limits are counted from.
create table api_requests (
    id text primary key not null,
    class text not null check (class in ('backfill', 'repair', 'interactive', 'recording')),
    requested_at text not null
);
create index api_requests_time on api_requests (requested_at);
create index api_requests_class on api_requests (class, requested_at);

-- What CallRail last told of the account's use. Always one row.
create table api_usage (
    id integer primary key not null check (id = 1),
    reported_at text,
    hour_by_others integer,
    hour_allowed integer,
    day_by_others integer,
    day_allowed integer
);
insert into api_usage (id) values (1);
