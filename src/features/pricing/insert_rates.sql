-- Adds the rates that no book had before. One that is there already stays as it is.
-- $1 hashes, $2 providers, $3 skus, $4 tiers; $5 input, $6 cache_read, $7 cache_write_5m, $8
-- cache_write_1h, $9 output: prices, and $10 to $14 the highest ones, in the same order; $15
-- thresholds; $16 evidence: one array for each column.
-- Index: rate_hash_key.
insert into price.rate (
    rate_hash, provider, sku, tier,
    input_price, cache_read_price, cache_write_5m_price, cache_write_1h_price, output_price,
    high_input_price, high_cache_read_price, high_cache_write_5m_price, high_cache_write_1h_price, high_output_price,
    threshold, evidence
)
select *
from unnest(
    $1::bytea[], $2::text[], $3::text[], $4::text[],
    $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
    $15::bigint[], $16::text[]
)
on conflict (rate_hash) do nothing
