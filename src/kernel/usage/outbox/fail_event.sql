-- Counts a failure that the event itself caused, and parks the event after too many of them.
-- $1 user_id, $2 id: the event; $3 error: SQLSTATE and constraint; $4 now; $5 retry_at;
-- $6 max_attempts.
-- Index: outbox_pkey.
update usage.outbox
set attempts = attempts + 1,
    retry_at = $5,
    last_error = left($3, 500),
    parked_at = case when attempts + 1 >= $6 then $4::timestamptz end
where user_id = $1 and id = $2
