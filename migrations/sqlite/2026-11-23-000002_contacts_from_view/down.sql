alter table contacts drop column from_view;
