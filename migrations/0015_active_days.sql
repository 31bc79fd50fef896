-- Why: streaks ask of a user's whole history on which days there was any usage. With the answer in the key's index they
-- read that alone, a tenth of the pages of the rows (docs/decisions/0013).
-- Meaning of stored rows: unchanged; nothing has to be replayed. Way back: the primary key without the column, then drop
-- the column. The table is written anew (measured: three seconds for a million rows), and reads and folds wait for that;
-- posts do not. A `vacuum rollup.daily` after it makes streaks cheap at once.
set local lock_timeout = '5s';

alter table rollup.daily
    add column is_active boolean not null generated always as (
        input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens + unclassified_tokens > 0
        or request_count > 0
    ) stored,
    drop constraint daily_pkey,
    add constraint daily_pkey primary key (user_id, day, device_id, source, model) include (is_active);
-- Pages that a vacuum has seen need not be looked at. Most rows of a past day are never written again, so the table would
-- wait for it until a fifth more had come.
alter table rollup.daily set (autovacuum_vacuum_insert_scale_factor = 0.02);
comment on column rollup.daily.is_active is 'Whether tokens or requests were counted: a row of zeros is no activity.';
