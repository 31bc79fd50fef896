-- Finds for each source, model and rate what the model stands for in a book, by which rule, and from
-- when to when the rate holds for it.
-- $1 book; $2 sources, $3 models, $4 rate_ids: position by position.
-- Index: name_pkey, span_pkey.
select
    n.sku as "sku?", n.rule as "rule?", v.valid_from as "valid_from?", v.valid_to as "valid_to?"
from unnest($2::text[], $3::text[], $4::integer[]) with ordinality p (source, model, rate_id, place)
left join lateral (
    select n.sku, n.rule
    from price.name n
    where n.book = $1 and n.name = p.model and n.source in ('', p.source)
    order by n.source desc
    limit 1
) n on true
left join lateral (
    select min(v.from_hour) as valid_from, max(v.to_hour) as valid_to
    from price.span v
    where v.book = $1 and v.sku = n.sku and p.rate_id in (v.short_rate_id, v.long_rate_id, v.range_rate_id)
) v on true
order by p.place
