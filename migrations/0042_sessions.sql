-- Why: a person who signs in on a browser gets a session. A session is a viewer's token that nobody was given, so that what
-- ends a token ends it too. Signing out everywhere has to tell sessions from the tokens of programs, and a session has an
-- end from its beginning.
-- Meaning of stored rows: unchanged, no token of before is a session. A release before this one takes a session's row for a
-- viewer's token whose secret is never sent. Way back: revoke the rows that are sessions and drop the column.
set local lock_timeout = '5s';

alter table account.token add column is_session boolean not null default false;
comment on column account.token.is_session is 'True where a browser that is signed in stands behind it: nobody was given its text.';
comment on column account.token.expires_at is 'From when on the token is refused, set when another one takes its place, and of a session when it begins; null while it has no end.';

-- A request may begin a session, and may not turn a token into one.
grant insert (expires_at, is_session) on account.token to halfhour_api;
