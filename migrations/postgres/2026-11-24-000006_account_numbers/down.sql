drop table trunkline.account_numbers;
