alter table imports drop column retrying;
