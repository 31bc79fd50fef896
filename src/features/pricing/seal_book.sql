-- Seals a book. It never changes from here on.
-- $1 version.
-- Index: book_pkey.
update price.book set state = 'sealed' where version = $1
