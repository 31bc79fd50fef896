-- Why: the checks of 0027 hold for every row that stands; proving it needs no lock that writers would notice.
-- Meaning of stored rows: unchanged. Way back: none needed.
set local lock_timeout = '5s';

alter table usage.idempotency validate constraint idempotency_answer_is_whole;
alter table usage.idempotency validate constraint idempotency_answer_is_bounded;
alter table usage.idempotency validate constraint idempotency_secret_hash_is_sha256;
