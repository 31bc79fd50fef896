-- Why: some comments in the catalogue were wrong and others said too little to somebody who reads them there first. A job
-- of replays or verifications steps over users, and no longer over the months of a user.
-- Meaning of stored rows: unchanged. Way back: none needed; every release works with either text.
set local lock_timeout = '5s';

comment on schema usage is 'Usage as it was reported, and what belongs to it: buckets, the outbox that announces their changes, pre-images of corrections, erasures, retention horizons, and answers kept for Idempotency-Key. Written only by the kernel.';
comment on schema ops is 'The audit and the switches. Written by the operations slice; the kernel adds entries to the audit.';
comment on schema backfill is 'Jobs that import, replay or verify history. Written only by the backfill slice.';

comment on column backfill.job.total is 'How many plan rows an import has, or how many users a replay or a verification has; fixed when the job is planned.';
comment on column backfill.job.done is 'How many of these rows or users the present phase (execution or rollback) has behind it. Within a phase it only rises.';
comment on table backfill.job is 'One import of buckets, one replay into the rollups or one verification, with its plan and its progress.';
comment on column backfill.job.cursor_user_id is 'The last row or user that the present phase has behind it: its user. Null at the beginning of a phase.';
comment on column backfill.job.cursor_hour_start is 'The half hour of that row; null for replays and verifications.';
comment on column backfill.job.cursor_device_id is 'The device of that row; null for replays and verifications.';
comment on column backfill.job.cursor_source is 'The tool of that row; null for replays and verifications.';
comment on column backfill.job.cursor_model is 'The model of that row; null for replays and verifications.';
comment on column backfill.job.reached is 'The value of done when the first rollback began. A rollback takes back so many rows and no more.';
comment on column backfill.job.executed_at is 'When the execution began. The corrections carry this instant as observed_at.';
comment on column backfill.job.lease_token is 'Names the worker that holds the job, or the stream that is being read into it. Each of them makes its own. Null where nobody holds the job.';
comment on column backfill.job.lease_until is 'Until when the lease lasts, by the database''s clock.';

comment on column usage.bucket.observed_at is 'When the snapshot was taken. Of two snapshots the one with the later stamp wins; where the stamps are equal, the one with the greater counts.';
comment on column usage.bucket.changed_at is 'When the counts last changed. A snapshot with the same counts and a later stamp leaves it as it is.';
comment on column usage.bucket.backfill_id is 'The job whose correction the bucket holds; null where it holds a tracker''s snapshot.';
comment on column usage.outbox.id is 'Rises roughly in the order of insertion. Ids become visible out of that order, so a reader names the ids that it folds and never takes all below one.';
comment on column usage.outbox.topic is 'bucket_changed: buckets were written. rebuild: the user wants another time zone. replay: days are to be folded again. erased: the owner removed buckets.';
comment on column usage.outbox.first_hour is 'The first half hour that the event is about; -infinity where it is about all up to the last.';
comment on column usage.outbox.last_hour is 'The last half hour that the event is about; infinity where it is about all from the first on.';
comment on column usage.outbox.lane is 'live for trackers; bulk for backfills, so that a large one does not delay trackers; whole for events about a whole user.';
comment on column usage.outbox.retry_at is 'The event is not tried again before this time; null where it has never failed.';
comment on table usage.horizon is 'The half hour before which retention removes and refuses a user''s buckets. It is raised before buckets are removed, under a lock that waits for writers who have read the old value.';
comment on column usage.horizon.first_hour is 'The first half hour that is kept. Earlier ones are refused as before_retention_horizon. It never moves back.';
comment on table usage.pre_image is 'The version of a bucket that a correction has replaced, or a newer one that a tracker has sent since. A rollback restores it. No row where the correction inserted the bucket and no tracker has sent it since.';
comment on column usage.pre_image.backfill_id is 'The job whose correction replaced this version.';
comment on column usage.pre_image.observed_at is 'The stamp of this version. A rollback restores it, too.';
comment on column usage.pre_image.prior_backfill_id is 'The older job whose correction this version is; null where it is a tracker''s snapshot.';

comment on table rollup.user_state is 'The time zone and the version of a user''s rollup, and how much of it is frozen.';
comment on column rollup.user_state.frozen_before is 'No fold touches days before this one, because their buckets are past retention; null where nothing was removed.';
comment on function ops.refuse_change() is 'The trigger of ops.audit. It raises an error, so that no entry is ever changed or removed.';
