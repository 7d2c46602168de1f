drop table account_numbers;
