-- Why: a token that was revoked, or that another one has replaced, is of no use but to whoever asks what became of it.
-- Its row stayed for ever, so that a device that rotates every day left a thousand rows in three years. A worker now
-- removes rows some time after they ended; the audit keeps who ended them and when.
-- Meaning of stored rows: unchanged. Way back: drop the policy, the grant and the index; what was removed is not missed.
set local lock_timeout = '5s';

create policy worker_removes_ended on account.token for delete to halfhour_worker
    using (revoked_at is not null or expires_at is not null);
grant delete on account.token to halfhour_worker;

create index token_ended_idx on account.token (least(revoked_at, expires_at))
    where revoked_at is not null or expires_at is not null;
comment on index account.token_ended_idx is 'For the removal of tokens that ended long ago.';
