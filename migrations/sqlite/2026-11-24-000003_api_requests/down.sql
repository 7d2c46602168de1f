drop table api_usage;
drop table api_requests;
