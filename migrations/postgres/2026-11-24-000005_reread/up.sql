-- The calls that the reconciler asks CallRail about: few among many.
create index calls_reread on trunkline.calls (first_seen_at, call_sid) where reread;
