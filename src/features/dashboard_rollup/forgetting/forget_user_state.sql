-- Removes the zone, the version and the horizon of the rollup of a user who was erased.
-- $1 user_id.
-- Needs the fold lock. Index: user_state_pkey.
delete from rollup.user_state where user_id = $1
