-- Whether rollups still have the key without rates.
-- No parameters. Index: pg_class_relname_nsp_index.
select exists (select from pg_catalog.pg_class c where c.relname = 'daily_rate_key') as "has!"
