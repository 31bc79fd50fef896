-- Retires a tool. One that is retired stays so since when it was.
-- $1 name, $2 now.
-- Index: source_pkey.
update usage.source s set retired_at = coalesce(s.retired_at, $2::timestamptz)
where s.name = $1::text
