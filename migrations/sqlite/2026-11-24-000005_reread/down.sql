drop index calls_reread;
