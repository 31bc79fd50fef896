-- Reads of which day the prices of a book are.
-- $1 book.
-- Index: book_pkey.
select b.dated as "dated!" from price.book b where b.version = $1
