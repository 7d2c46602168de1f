-- Whoever is gone from the view `crm_contacts` is taken out of the mirror; people from elsewhere are not.
alter table trunkline.contacts add column from_view boolean not null default false;
