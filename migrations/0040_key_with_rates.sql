-- Why: with the rate in its key, a row of rollup.daily has one price, and a change of prices in the middle of a local day
-- splits it in two. The index is built beside the present key, and takes its place when a first book is put in force
-- (0039). Folds wait while it is built; posts and reads go on. It is not built concurrently: that waits for every older
-- snapshot, another process that waits for its turn to migrate has one, and a build that is cut off leaves half an index.
-- Meaning of stored rows: unchanged. Way back: drop the index, unless it has become the key.
set local lock_timeout = '5s';

create unique index daily_rate_key on rollup.daily (user_id, day, device_id, source, model, rate_id)
    include (is_active);
