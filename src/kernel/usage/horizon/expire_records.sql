-- Removes records before the horizon from the ledger: they are not taken any more.
-- $1 user_id.
-- Index: ledger_pkey, horizon_pkey.
delete from usage.ledger l
where l.user_id = $1
  and l.hour_start < (select h.first_hour from usage.horizon h where h.user_id = $1)
