-- Snapshots of calls that go on and that were told with their number alone, since the lookup of the caller took too long.
-- Here it stays empty: a lookup waits for nobody.
create table unanswered_lookups (
    call_sid text not null,
    digest text not null,
    primary key (call_sid, digest),
    foreign key (call_sid, digest) references call_events (call_sid, digest) on delete cascade
);
