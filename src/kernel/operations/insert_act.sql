-- Adds one entry to the audit. The role halfhour_api may add only entries of its own user, and no
-- role may change an entry.
-- $1 audit_id, $2 actor_kind, $3 actor_user_id, $4 actor_token_id, $5 action, $6 subject, $7
-- reason,
-- $8 request_id, $9 details. Index: none.
insert into ops.audit (audit_id, actor_kind, actor_user_id, actor_token_id, action, subject, reason, request_id, details)
values ($1::uuid, $2::text, $3::uuid, $4::uuid, $5::text, $6::text, $7::text, $8::uuid, $9::jsonb)
