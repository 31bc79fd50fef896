-- Finds the rates of a sku at an instant: one, or three where the length of requests matters.
-- $1 book; $2 sku; $3 at.
-- Index: span_pkey, rate_pkey.
select
    v.from_hour as "from_hour!", v.to_hour as "to_hour!",
    r.rate_id as "rate_id!", r.tier as "tier!", r.threshold,
    r.input_price, r.cache_read_price, r.cache_write_5m_price, r.cache_write_1h_price, r.output_price,
    r.high_input_price, r.high_cache_read_price, r.high_cache_write_5m_price, r.high_cache_write_1h_price,
    r.high_output_price, r.evidence as "evidence!"
from price.span v
join price.rate r on r.rate_id in (v.short_rate_id, v.long_rate_id, v.range_rate_id)
where v.book = $1 and v.sku = $2 and v.from_hour <= $3 and v.to_hour > $3
order by r.rate_id
