-- Takes a user who was erased out of the cursors of jobs that an older release has ended. Whatever is at
-- work drops its cursor at its end.
-- $1 user_id.
-- Index: none; jobs are few.
update backfill.job
set cursor_user_id = null,
    cursor_hour_start = null,
    cursor_device_id = null,
    cursor_source = null,
    cursor_model = null
where cursor_user_id = $1
  and state not in ('planning', 'running', 'rolling_back')
