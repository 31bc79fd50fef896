-- Finds the price book that is in force.
-- No parameters. Index: in_force_pkey, book_pkey.
select b.version as "version!", b.dated as "dated!", f.since as "since!"
from price.in_force f
join price.book b on b.version = f.book
where f.is_only
