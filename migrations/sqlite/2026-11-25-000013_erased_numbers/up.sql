-- Numbers of people who asked to be forgotten, as HMAC-SHA256 under the one key that is here: what comes back of them is
-- known again, and the numbers themselves are not kept.
create table erased_numbers (
    number_hash text primary key not null,
    -- Calls that began before are forgotten; later ones are new.
    erased_at text not null
);

create table erasure_key (
    id integer primary key not null check (id = 1),
    key text not null
);
