-- Adds the names of a book.
-- $1 book; $2 sources, $3 names, $4 skus, $5 rules: one array for each column.
-- Index: none.
insert into price.name (book, source, name, sku, rule)
select $1, n.source, n.name, n.sku, n.rule
from unnest($2::text[], $3::text[], $4::text[], $5::text[]) n (source, name, sku, rule)
