-- Why: what 0046 demands of new labels holds for all rows, since no token of before has one.
-- Meaning of stored rows: unchanged. Way back: none is needed.
set local lock_timeout = '5s';

alter table account.token validate constraint token_label_is_1_to_100_characters;
alter table account.token validate constraint token_label_has_no_control_characters;
