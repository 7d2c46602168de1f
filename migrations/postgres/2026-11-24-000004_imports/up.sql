-- Runs that read calls from CallRail's API.
create table trunkline.imports (
    id uuid primary key,
    source text not null check (source in ('api', 'cli', 'reconcile')),
    range_start timestamptz not null,
    range_end timestamptz not null,
    company_id text,
    state text not null default 'waiting'
        check (state in ('waiting', 'running', 'finished', 'failed', 'cancelled')),
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    error text,
    -- Who works on the run, and until when he has said so.
    lease_holder uuid,
    lease_until timestamptz,
    -- How far it was read: the window of the range, and the page in it that comes next.
    window_start timestamptz,
    next_page text,
    pages bigint not null default 0,
    requests bigint not null default 0,
    check (range_start < range_end)
);
create index imports_created_at on trunkline.imports (created_at, id);
create index imports_open on trunkline.imports (created_at, id) where state in ('waiting', 'running');

-- The calls of each run. No reference to the run: an event must not be refused because its run is gone.
create table trunkline.import_calls (
    import_id uuid not null,
    call_sid text not null,
    state text not null check (state in ('queued', 'stored', 'failed')),
    reason text,
    primary key (import_id, call_sid)
);
create index import_calls_open on trunkline.import_calls (state, import_id, call_sid) where state <> 'stored';
