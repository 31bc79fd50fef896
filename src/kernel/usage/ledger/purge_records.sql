-- Removes records that are too old to be sent again. They are found first, and then deleted by their
-- places, so that a removal is a short transaction.
-- $1 kept_from: the first half hour whose records stay; $2 limit.
-- Index: ledger_hour_start_idx.
delete from usage.ledger l
where l.hour_start < $1
  and l.ctid = any(array(
      select o.ctid
      from usage.ledger o
      where o.hour_start < $1
      order by o.hour_start
      limit $2
  ))
