-- Every switch that was ever thrown: a handful of rows, read whole. No parameters. Index: none.
select name, is_on, reason, changed_at from ops.switch
