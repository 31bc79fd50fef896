-- Why: the checks of 0030 hold for every row that stands; proving it needs no lock that writers would notice.
-- Meaning of stored rows: unchanged. Way back: none needed.
set local lock_timeout = '5s';

alter table usage.bucket validate constraint bucket_rank_is_known;
alter table backfill.job validate constraint job_action_is_known;
alter table backfill.job validate constraint job_only_changes_roll_back;
alter table backfill.job validate constraint job_merge_has_two_devices;
alter table backfill.job validate constraint job_merge_is_of_one_user;
alter table backfill.job validate constraint job_resolve_is_known;
alter table backfill.plan_row validate constraint plan_row_pairing_is_known;
