-- Puts a book in force.
-- $1 book; $2 now.
-- Index: in_force_pkey.
insert into price.in_force as f (book, since) values ($1, $2)
on conflict (is_only) do update set book = excluded.book, since = excluded.since
where f.book <> excluded.book
