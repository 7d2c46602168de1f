drop table webhook_health;
