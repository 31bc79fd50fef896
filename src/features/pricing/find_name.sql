-- Finds what a model as a tool reports it stands for. A tool's own list comes before the common one.
-- $1 book; $2 source; $3 model.
-- Index: name_pkey.
select n.sku as "sku!", n.rule as "rule!"
from price.name n
where n.book = $1 and n.name = $3 and n.source in ('', $2::text)
order by n.source desc
limit 1
