-- Sums the tokens of all users from a day on that fall under no rate. Users whose rows are in no book
-- are left out.
-- $1 since: a local day.
-- Index: none. It reads the whole of rollup.daily, once an hour.
select coalesce(sum(r.total_tokens), 0)::text as "tokens!: Sum"
from rollup.daily r
join rollup.user_state s on s.user_id = r.user_id
where r.rate_id = 0 and r.day >= $1 and s.book is not null
