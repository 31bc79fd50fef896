-- Removes some exceptions of a user who was erased.
-- $1 user_id; $2 limit.
-- Index: exception_user_id_idx, exception_pkey.
delete from backfill.exception
where (job_id, exception_id) in (
    select job_id, exception_id from backfill.exception where user_id = $1 limit $2
)
