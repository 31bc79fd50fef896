-- Looks for a sealed price book, and for the one that is in force.
-- $1 book.
-- Index: book_pkey, in_force_pkey.
select
    exists (select from price.book b where b.version = $1 and b.state = 'sealed') as "is_known!",
    (select f.book from price.in_force f where f.is_only) as in_force
