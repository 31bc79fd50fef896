-- Does the database answer? No parameters, no table.
select 1 as "one!"
