drop table trunkline.erasure_key;
drop table trunkline.erased_numbers;
