-- Adds the spans of a book.
-- $1 book; $2 skus, $3 from_hours, $4 to_hours, $5 thresholds; $6 short, $7 long, $8 range: hashes
-- of the rates: one array for each column.
-- Index: rate_hash_key.
insert into price.span (book, sku, from_hour, to_hour, threshold, short_rate_id, long_rate_id, range_rate_id)
select $1, n.sku, n.from_hour, n.to_hour, n.threshold, s.rate_id, l.rate_id, r.rate_id
from unnest(
    $2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[]
) n (sku, from_hour, to_hour, threshold, short, long, range)
join price.rate s on s.rate_hash = n.short
join price.rate l on l.rate_hash = n.long
join price.rate r on r.rate_hash = n.range
