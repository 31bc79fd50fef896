-- Lists the sealed books, the newest first.
-- No parameters. Index: none; there are few books.
select
    b.version as "version!", b.content_hash as "content_hash!", b.parent, b.dated as "dated!",
    b.reason as "reason!", b.imported_by as "imported_by!", b.imported_at as "imported_at!",
    f.since as "in_force_since?"
from price.book b
left join price.in_force f on f.book = b.version
where b.state = 'sealed'
order by b.version desc
