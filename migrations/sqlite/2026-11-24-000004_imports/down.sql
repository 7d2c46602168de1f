drop table import_calls;
drop table imports;
