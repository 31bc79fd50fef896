-- Finds the users of a name, revoked ones included.
-- $1 name; $2 limit.
-- Index: none has the names of revoked users; users are few.
select u.user_id, u.revoked_at is not null as "revoked!"
from account.user u
where u.name = $1
order by u.user_id
limit $2
