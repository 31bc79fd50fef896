-- Lists every tool with its other names, which are some hundred rows.
-- No parameters.
-- Index: source_pkey, source_alias_pkey.
select
    s.name, s.title, s.allowed_by, s.allowed_at, s.retired_at,
    array(select a.alias from usage.source_alias a where a.name = s.name order by a.alias) as "aliases!"
from usage.source s
order by s.name
