-- Snapshots of calls that go on and that were told with their number alone, since the lookup of the caller took too long.
create table trunkline.unanswered_lookups (
    call_sid text not null,
    digest text not null,
    primary key (call_sid, digest),
    foreign key (call_sid, digest) references trunkline.call_events (call_sid, digest) on delete cascade
);
