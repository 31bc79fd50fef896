-- Reads what the database's server is and how it is set.
-- No parameters. Index: none; a read of the catalogue.
select
    current_setting('server_version') as "version!",
    current_setting('server_version_num')::int as "version_number!",
    current_setting('fsync') as "fsync!",
    current_setting('full_page_writes') as "full_page_writes!",
    current_setting('synchronous_commit') as "synchronous_commit!",
    current_setting('max_connections')::int as "max_connections!"
