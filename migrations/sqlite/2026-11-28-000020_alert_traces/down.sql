alter table alerts drop column trace;
