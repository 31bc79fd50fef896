-- Says whether the primary shows every transaction that this snapshot of a standby sees.
-- $1 shown: what the primary shows, as its pg_current_snapshot() says it.
-- A standby's own pg_current_snapshot() names no transactions that are in progress. So those that were in progress on the
-- primary are looked up one by one, as far as the standby has heard of them: of later ones pg_xact_status is an error. A
-- standby that was promoted meanwhile may see what the primary never will.
select
    pg_is_in_recovery()
    and pg_snapshot_xmax(s.seen) <= pg_snapshot_xmax(s.shown)
    and not exists (
        select
        from pg_snapshot_xip(s.shown) as in_progress
        where case when in_progress < pg_snapshot_xmax(s.seen) then pg_xact_status(in_progress) = 'committed' end
    ) as "shows_no_more!"
from (select pg_current_snapshot() as seen, $1::text::pg_snapshot as shown) s
