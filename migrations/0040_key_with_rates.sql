-- no-transaction
-- Why: with the rate in its key, a row of rollup.daily has one price, and a change of prices in the middle of a local day
-- splits it in two. The index is built beside the present key, and takes its place when a first book is put in force
-- (0039). Meaning of stored rows: unchanged. Way back: drop the index, unless it has become the key.
create unique index concurrently daily_rate_key on rollup.daily (user_id, day, device_id, source, model, rate_id)
    include (is_active);
