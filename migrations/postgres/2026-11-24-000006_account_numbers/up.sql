-- The account's own telephone numbers: no call is linked with somebody by one of them.
create table trunkline.account_numbers (
    e164 text primary key
);
