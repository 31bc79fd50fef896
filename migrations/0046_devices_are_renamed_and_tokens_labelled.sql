-- Why: an owner gives a device another name, and a token of its own a label, so that one knows later which token to revoke.
-- A request could write a device's name only when the device was registered, and a token said of itself no more than when it
-- was issued.
-- Meaning of stored rows: unchanged; no token of before has a label. A name stays unique among the owner's devices that are
-- not revoked. A release before this one renames nothing and shows no label. Way back: revoke the grants and drop the column.
set local lock_timeout = '5s';

grant update (name) on account.device to halfhour_api;
comment on column account.device.name is
    'Chosen by the owner, who may change it; unique among the owner''s devices that are not revoked.';

alter table account.token add column label text;
alter table account.token
    add constraint token_label_is_1_to_100_characters check (char_length(label) between 1 and 100) not valid,
    add constraint token_label_has_no_control_characters check (label !~ '[[:cntrl:]]') not valid;
comment on column account.token.label is
    'What its owner calls it, who issued it on the page of settings; null for all others. Not unique.';
grant insert (label) on account.token to halfhour_api;
