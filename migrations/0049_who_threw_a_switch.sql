-- Why: the page of operators says who threw a switch last. The audit knows, and is kept for good, so that this must not read
-- all of it.
-- Meaning of stored rows: unchanged. Way back: drop the index.
set local lock_timeout = '5s';

create index audit_switch_idx on ops.audit (subject, acted_at desc) where action = 'switch.set';
comment on index ops.audit_switch_idx is 'For who threw a switch last.';
