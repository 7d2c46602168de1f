alter table trunkline.alerts drop column trace;
