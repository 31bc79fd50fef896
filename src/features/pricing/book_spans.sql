-- Lists the spans of a book with the hashes of their rates.
-- $1 book.
-- Index: span_pkey, rate_pkey.
select
    v.sku as "sku!", v.from_hour as "from_hour!", v.to_hour as "to_hour!",
    s.rate_hash as "short!", l.rate_hash as "long!", r.rate_hash as "range!"
from price.span v
join price.rate s on s.rate_id = v.short_rate_id
join price.rate l on l.rate_id = v.long_rate_id
join price.rate r on r.rate_id = v.range_rate_id
where v.book = $1
order by v.sku, v.from_hour
