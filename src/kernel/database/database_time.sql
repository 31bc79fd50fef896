-- The database's clock at this moment. No parameters, no table.
select clock_timestamp() as "now!"
