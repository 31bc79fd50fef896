-- Why: tokens that another key made are refused like forged ones. A server whose key is in a file beside its database
-- could say so; one that is given HALFHOUR_SECRET could not, and a database that was restored under another secret
-- looked like one that everybody attacks. Each server now notes, at its start, by which key it recognises tokens.
-- Meaning of stored rows: tokens stay as they are, so that a key is known from the first start of this release on.
-- Way back: drop the table.
set local lock_timeout = '5s';

create table account.server_key (
    fingerprint bytea not null,
    first_started_at timestamptz not null default transaction_timestamp(),
    last_started_at timestamptz not null default transaction_timestamp(),
    constraint server_key_pkey primary key (fingerprint),
    constraint server_key_fingerprint_is_short check (octet_length(fingerprint) = 4)
);
comment on table account.server_key is 'The keys of servers that were started on this database, as far as they can be told apart.';
comment on column account.server_key.fingerprint is 'The first 4 bytes of a signature by the key: enough to tell two keys apart, and too few to find one by trying.';
comment on column account.server_key.first_started_at is 'When a server with this key was started for the first time.';
comment on column account.server_key.last_started_at is 'When one was started last.';

alter table account.server_key enable row level security, force row level security;
create policy worker_handles_all on account.server_key to halfhour_worker using (true) with check (true);
grant select, insert, update (last_started_at) on account.server_key to halfhour_worker;
