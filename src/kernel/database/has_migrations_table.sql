-- Whether the database was ever migrated.
-- No parameters. Index: none; a read of the catalogue.
select to_regclass('_sqlx_migrations') is not null as "exists!"
