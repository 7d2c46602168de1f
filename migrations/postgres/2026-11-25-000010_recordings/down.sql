drop table trunkline.recordings;
