drop table trunkline.import_calls;
drop table trunkline.imports;
