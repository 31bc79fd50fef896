-- Why: an operator signs in on a browser, and gets a session as a viewer does: a token of the kind operator that nobody was
-- given, which ends within a working day. Operators' tokens are written as halfhour_worker, so that no request of a user
-- makes one (0032). So that role writes the end of a session and that it is one, and still nothing but operators' tokens.
-- Meaning of stored rows: unchanged. A release before this one takes such a row for an operator's token whose secret is
-- never sent. Way back: revoke the operators' rows that are sessions, and revoke the grant.
set local lock_timeout = '5s';

grant insert (expires_at, is_session) on account.token to halfhour_worker;
