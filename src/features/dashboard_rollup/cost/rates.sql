-- Reads rates by their numbers.
-- $1 rate_ids.
-- Index: rate_pkey.
select
    r.rate_id as "rate_id!", r.sku as "sku!", r.tier as "tier!", r.evidence as "evidence!",
    r.input_price, r.cache_read_price, r.cache_write_5m_price, r.cache_write_1h_price, r.output_price,
    r.high_input_price, r.high_cache_read_price, r.high_cache_write_5m_price, r.high_cache_write_1h_price,
    r.high_output_price
from price.rate r
where r.rate_id = any($1::integer[])
