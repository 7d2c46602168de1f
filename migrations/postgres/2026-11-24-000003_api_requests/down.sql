drop table trunkline.api_usage;
drop table trunkline.api_requests;
