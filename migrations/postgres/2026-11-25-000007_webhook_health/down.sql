drop table trunkline.webhook_health;
