drop index trunkline.calls_reread;
