-- Removes the records of an erased scope from the ledger, as far as their half hours have ended.
-- What happened then is refused for good, so that nothing needs them. Records of a half hour that
-- goes on stay: a tool whose clock is fast could send one again that seems to be later than the
-- erasure.
-- $1 user_id; $2 device_id, $3 source, $4 first_hour, $5 last_hour: the scope, null where it is
-- open; $6 erased_at.
-- Index: ledger_pkey.
delete from usage.ledger l
where l.user_id = $1
  and ($2::uuid is null or l.device_id = $2)
  and ($3::text is null or l.source = $3)
  and l.hour_start >= coalesce($4::timestamptz, '-infinity')
  and l.hour_start <= coalesce($5::timestamptz, 'infinity')
  and l.hour_start + interval '30 minutes' <= $6::timestamptz
