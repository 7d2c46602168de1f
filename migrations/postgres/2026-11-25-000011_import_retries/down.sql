alter table trunkline.imports drop column retrying;
