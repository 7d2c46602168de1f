-- The trace that an alert belongs to (W3C traceparent), so that one that is published late still belongs to its webhook.
alter table alerts add column trace text;
