-- Reads every switch that was ever set, which are a handful of rows.
-- No parameters. Index: none.
select name, is_on, reason, changed_at from ops.switch
