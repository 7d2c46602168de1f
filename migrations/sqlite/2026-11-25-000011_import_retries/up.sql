-- The run was read to its end before, and goes on with the calls that failed alone.
alter table imports add column retrying boolean not null default false;
