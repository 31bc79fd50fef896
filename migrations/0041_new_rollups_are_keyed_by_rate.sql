-- Why: where nothing was folded yet, no process of an older release folds beside this one, and the key may change at once.
-- Elsewhere it changes when a first book is put in force, once every process is of this release.
-- And the checks of 0039 hold for every job that stands.
-- Meaning of stored rows: unchanged. Way back: as in 0039.
set local lock_timeout = '5s';

do $$
begin
    if pg_relation_size('rollup.daily') = 0 then
        perform price.key_rollups();
    end if;
end
$$;

alter table backfill.job validate constraint job_action_is_known;
alter table backfill.job validate constraint job_only_changes_roll_back;
alter table backfill.job validate constraint job_reprice_has_a_book;
