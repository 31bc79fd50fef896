-- Says whether an active user other than this one has an operator's token that is valid.
-- lock_operators.sql has run before, so that whoever was erased meanwhile does not count.
-- $1 user_id.
-- Index: none; operators' tokens are few among the tokens.
select account.others_operate($1) as "others_operate!"
