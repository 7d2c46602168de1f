-- The account's own telephone numbers: no call is linked with somebody by one of them.
create table account_numbers (
    e164 text primary key not null
);
