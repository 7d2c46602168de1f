-- Recordings for the archive. No reference to the call: what is in the archive must be known until it is taken out.
create table trunkline.recordings (
    call_sid text primary key,
    state text not null default 'waiting' check (state in ('waiting', 'archived', 'gone')),
    call_began_at timestamptz not null,
    -- When to fetch it. Whoever is at it has put it off until he must have ended.
    due_at timestamptz not null,
    holder uuid,
    attempts bigint not null default 0,
    missing_since timestamptz,
    reason text,
    object_key text,
    content_type text,
    length_bytes bigint,
    sha256 text,
    stored_at timestamptz,
    check (
        state <> 'archived' or (
            object_key is not null and content_type is not null and length_bytes is not null
            and sha256 is not null and stored_at is not null
        )
    )
);
create index recordings_waiting on trunkline.recordings (call_began_at, call_sid) where state = 'waiting';
