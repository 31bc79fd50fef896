-- Whether rollups still have the key without rates.
-- No parameters. Index: none.
select to_regclass('rollup.daily_rate_key') is not null as "has!"
