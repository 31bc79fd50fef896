-- Begins a book behind the last one. The caller holds the lock of the imports.
-- $1 content_hash; $2 dated; $3 reason; $4 imported_by.
-- Index: book_pkey, read backwards for the last version.
insert into price.book (version, content_hash, parent, dated, reason, imported_by)
select coalesce(max(b.version), 0) + 1, $1, max(b.version), $2, $3, $4
from price.book b
returning version as "version!"
