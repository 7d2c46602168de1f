-- Numbers of people who asked to be forgotten, as HMAC-SHA256 under the one key that is here: what comes back of them is
-- known again, and the numbers themselves are not kept.
create table trunkline.erased_numbers (
    number_hash text primary key,
    -- Calls that began before are forgotten; later ones are new.
    erased_at timestamptz not null
);

create table trunkline.erasure_key (
    id bigint primary key check (id = 1),
    key text not null
);
