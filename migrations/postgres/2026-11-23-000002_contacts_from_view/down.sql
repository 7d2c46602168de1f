alter table trunkline.contacts drop column from_view;
