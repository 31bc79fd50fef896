-- Changes the key of the rollups to the one with rates.
-- No parameters. The caller holds the fold lock. Index: none.
select price.key_rollups()
