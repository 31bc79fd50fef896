-- Why: every request that changes something may carry an Idempotency-Key, whoever sends it. Its answer is kept beside
-- those to posts: under the same keys, for the same day, within the same cap. What is secret in an answer is left out, and
-- derived again from the server's key, the key's scope and the seed.
-- Meaning of stored rows: unchanged. A record of a post has verdicts and no status; a record of another request has a
-- status, an answer, and no verdict. Way back: delete the rows with a status and drop the columns; requests that are
-- repeated under their keys are then executed again.
set local lock_timeout = '5s';

alter table usage.idempotency
    add column status smallint,
    add column answer text,
    add column etag text,
    add column location text,
    add column seed uuid,
    add column secret_hash bytea;
alter table usage.idempotency
    add constraint idempotency_answer_is_whole check (
        case when status is null
            then num_nonnulls(answer, etag, location, seed, secret_hash) = 0
            else status between 200 and 299 and num_nulls(answer, seed) = 0 and octet_length(verdicts) = 0
        end
    ) not valid,
    add constraint idempotency_answer_is_bounded check (
        octet_length(answer) <= 262144 and octet_length(etag) <= 200 and octet_length(location) <= 2000
    ) not valid,
    add constraint idempotency_secret_hash_is_sha256 check (octet_length(secret_hash) = 32) not valid;
comment on table usage.idempotency is 'Answers to executed requests that carried an Idempotency-Key, for 24 hours, at most 1000 a device, and 1000 a user for its own requests.';
comment on column usage.idempotency.user_id is 'The owner: whose token it was.';
comment on column usage.idempotency.device_id is 'The device that asked; where a user asked, with a token of a viewer or an operator, the user again.';
comment on column usage.idempotency.fingerprint is 'SHA-256 of what the request said: another one under the same key is refused.';
comment on column usage.idempotency.verdicts is 'Of a post: a byte a bucket, in the order of the request. Empty for other requests.';
comment on column usage.idempotency.status is 'The HTTP status of the answer; null for a post.';
comment on column usage.idempotency.answer is 'The body of the answer as JSON, byte for byte, with the character U+0001 in the place of a secret; null for a post.';
comment on column usage.idempotency.etag is 'The ETag of the answer; null where it had none.';
comment on column usage.idempotency.location is 'The Location of the answer; null where it had none.';
comment on column usage.idempotency.seed is 'New for each execution: what a secret of the answer is derived from, besides the scope and the server''s key; null for a post.';
comment on column usage.idempotency.secret_hash is 'SHA-256 of the secret in the answer, by which it is known again; null where there is none.';

grant insert, update on usage.idempotency to halfhour_worker;
