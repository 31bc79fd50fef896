-- Removes tokens that ended 30 days ago, because they were revoked or replaced. Who asks later what became of one finds
-- it in the audit.
-- $1 now.
-- Index: token_ended_idx.
delete from account.token
where least(revoked_at, expires_at) <= $1::timestamptz - interval '30 days'
  and (revoked_at is not null or expires_at is not null)
