-- Sums the tokens of all users that fall under no rate, by source and model, the most first. Users
-- whose rows are in no book are left out.
-- $1 limit.
-- Index: none. It reads the whole of rollup.daily, for an operator who asks.
select r.source as "source!", r.model as "model!", sum(r.total_tokens)::text as "tokens!: Sum",
    count(distinct r.user_id) as "users!"
from rollup.daily r
join rollup.user_state s on s.user_id = r.user_id
where r.rate_id = 0 and s.book is not null
group by r.source, r.model
having sum(r.total_tokens) > 0
order by sum(r.total_tokens) desc, r.source, r.model
limit $1
