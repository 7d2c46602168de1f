drop table trunkline.unanswered_lookups;
