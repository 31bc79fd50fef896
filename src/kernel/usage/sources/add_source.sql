-- Allows a tool. One that is allowed already keeps who allowed it; one that was retired is allowed
-- anew. Returns whether there was no such tool; no row where the name is an alias.
-- $1 name; $2 title, null for the present one, or the name; $3 allowed_by, $4 allowed_by_user_id,
-- $5 now.
-- Index: source_pkey, source_alias_pkey.
insert into usage.source as s (name, title, allowed_by, allowed_by_user_id, allowed_at)
select $1::text, coalesce($2::text, $1::text), $3::text, $4::uuid, $5::timestamptz
where not exists (select from usage.source_alias a where a.alias = $1::text)
on conflict (name) do update set
    title = coalesce($2::text, s.title),
    allowed_by = case when s.retired_at is null then s.allowed_by else excluded.allowed_by end,
    allowed_by_user_id = case when s.retired_at is null then s.allowed_by_user_id else excluded.allowed_by_user_id end,
    allowed_at = case when s.retired_at is null then s.allowed_at else excluded.allowed_at end,
    retired_at = null
returning (s.xmax = 0) as "created!"
