-- Removes link codes that expired a day ago. Until then an exchange can be repeated.
-- $1 now.
-- Index: link_code_expires_at_idx.
delete from account.link_code where expires_at <= $1::timestamptz - interval '1 day'
