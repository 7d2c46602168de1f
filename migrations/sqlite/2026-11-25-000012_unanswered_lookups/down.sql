drop table unanswered_lookups;
