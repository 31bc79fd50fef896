-- Removes some records of a user who was erased from the ledger.
-- $1 user_id; $2 limit.
-- Index: ledger_pkey.
delete from usage.ledger
where user_id = $1
  and (user_id, hour_start, record_hash) in (
      select user_id, hour_start, record_hash
      from usage.ledger
      where user_id = $1
      order by user_id, hour_start, record_hash
      limit $2
  )
