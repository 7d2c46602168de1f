-- Same tables and columns as migrations/sqlite, in PostgreSQL's types. What every column means: docs/database.md.
-- Every name is qualified: nothing outside the schema `trunkline` is made or changed.

create table trunkline.calls (
    call_sid text primary key,
    first_seen_at timestamptz not null,
    reread boolean not null default false,
    -- What we last wrote into columns of `interactions` that the CRM may write too; notes as SHA-256.
    written_notes text,
    written_lead_id text,
    written_customer_id text
);

-- `snapshot` and `raw` are `json`: written once, read whole, and kept to the letter.
create table trunkline.call_events (
    call_sid text not null references trunkline.calls (call_sid) on delete cascade,
    digest text not null,
    kind text not null,
    origin text not null,
    company_id text,
    first_observed_at timestamptz not null,
    last_observed_at timestamptz not null,
    event_id uuid not null,
    changes jsonb not null,
    snapshot json not null,
    raw json not null,
    primary key (call_sid, digest)
);

create table trunkline.seals (
    call_sid text not null references trunkline.calls (call_sid) on delete cascade,
    sealed_group text not null,
    reason text not null check (reason in ('human', 'retention', 'erasure')),
    sealed_at timestamptz not null,
    sealed_by text not null,
    primary key (call_sid, sealed_group)
);

create table trunkline.interactions (
    id uuid primary key,
    type text not null default 'call' check (type = 'call'),
    direction text not null check (direction in ('inbound', 'outbound')),
    lead_id text,
    customer_id text,
    notes text not null,
    outcome text not null check (outcome in ('completed', 'no_answer', 'voicemail')),
    call_duration_seconds bigint not null,
    call_recording_url text,
    call_from_number text,
    call_sid text not null unique references trunkline.calls (call_sid) on delete cascade,
    scheduled_at timestamptz not null,
    completed_at timestamptz not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    call_to_number text,
    tracking_number text,
    source text,
    medium text,
    campaign text,
    keywords text,
    landing_page_url text,
    gclid text,
    utm_source text,
    utm_medium text,
    utm_campaign text,
    utm_term text,
    utm_content text,
    transcription text,
    call_summary text,
    tags jsonb not null,
    lead_status text,
    value text,
    first_call boolean,
    agent_email text,
    company_id text,
    customer_name text,
    match_method text not null,
    match_candidates jsonb not null,
    spam boolean not null default false,
    vanished boolean not null default false
);
create index interactions_scheduled_at on trunkline.interactions (scheduled_at);
create index interactions_updated_at on trunkline.interactions (updated_at);
create index interactions_lead_id on trunkline.interactions (lead_id);
create index interactions_customer_id on trunkline.interactions (customer_id);
create index interactions_from on trunkline.interactions (call_from_number, scheduled_at);
create index interactions_to on trunkline.interactions (call_to_number, scheduled_at);

create table trunkline.contacts (
    kind text not null check (kind in ('lead', 'customer')),
    id text not null,
    name text,
    owner_id text,
    updated_at timestamptz not null,
    primary key (kind, id)
);

create table trunkline.contact_phones (
    e164 text not null,
    kind text not null,
    id text not null,
    primary key (e164, kind, id),
    foreign key (kind, id) references trunkline.contacts (kind, id) on delete cascade
);
create index contact_phones_contact on trunkline.contact_phones (kind, id);

create table trunkline.alerts (
    id uuid primary key,
    call_sid text not null,
    interaction_id uuid not null,
    kind text not null,
    at timestamptz not null,
    payload json not null,
    owner_id text,
    push boolean not null,
    created_at timestamptz not null,
    published_at timestamptz
);
create index alerts_created_at on trunkline.alerts (created_at);
create index alerts_unpublished on trunkline.alerts (created_at) where published_at is null;

create table trunkline.dead_letters (
    id uuid primary key,
    queue text not null,
    reason text not null,
    event_id uuid,
    call_sid text,
    import_id uuid,
    attempts bigint not null,
    first_failed_at timestamptz not null,
    last_failed_at timestamptz not null,
    body bytea not null,
    state text not null default 'waiting' check (state in ('waiting', 'replayed', 'discarded'))
);
create index dead_letters_state on trunkline.dead_letters (state, last_failed_at);

-- The calls as a CRM should show them.
create view trunkline.crm_calls as
select id, type, direction, lead_id, customer_id, notes, outcome, call_duration_seconds, call_recording_url,
       call_from_number, call_sid, scheduled_at, completed_at, created_at, updated_at, call_to_number,
       tracking_number, source, medium, campaign, keywords, landing_page_url, gclid, utm_source, utm_medium,
       utm_campaign, utm_term, utm_content, transcription, call_summary, tags, lead_status, value, first_call,
       agent_email, company_id, customer_name, match_method, match_candidates
from trunkline.interactions
where not spam and not vanished;

-- Whom to call back: nobody took the call, and nobody has talked with that number since, in either direction.
create view trunkline.crm_callbacks as
select missed.*
from trunkline.crm_calls missed
where missed.direction = 'inbound'
  and missed.outcome in ('no_answer', 'voicemail')
  and missed.call_from_number like '+%'
  and missed.match_method not in ('withheld', 'unreadable')
  and not exists (
      select 1 from trunkline.crm_calls talk
      where talk.outcome = 'completed'
        and talk.direction = 'inbound'
        and talk.call_from_number = missed.call_from_number
        and talk.scheduled_at > missed.scheduled_at
  )
  and not exists (
      select 1 from trunkline.crm_calls talk
      where talk.outcome = 'completed'
        and talk.direction = 'outbound'
        and talk.call_to_number = missed.call_from_number
        and talk.scheduled_at > missed.scheduled_at
  );
