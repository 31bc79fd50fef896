//! Plants for the ownership of tables.

use super::ownership::check;
use super::tree::{assert_caught, assert_kept_here, assert_passes};

const INGEST: &str = "src/features/ingest_buckets/read_one.sql";
const ROLLUP: &str = "src/features/dashboard_rollup/fold_days.sql";
const BACKFILL: &str = "src/features/backfill/take_lease.sql";
const ACCOUNTS: &str = "src/features/accounts/revoke_token.sql";
const KERNEL: &str = "src/kernel/upsert_buckets.sql";

#[track_caller]
fn caught(path: &str, sql: &str, line: usize) {
    assert_caught(check, &[(path, sql)], path, line);
}

#[track_caller]
fn passes(path: &str, sql: &str) {
    assert_passes(check, &[(path, sql)]);
}

#[test]
fn every_statement_here_keeps_to_its_owners_schema() {
    assert_kept_here(check);
}

#[test]
fn a_slice_that_writes_the_buckets_is_caught() {
    caught(ROLLUP, "-- Why.\ndelete\n  -- from rollup.daily\n  from usage.bucket where true", 4);
    caught(BACKFILL, "UPDATE ONLY Usage.Bucket SET x = 1", 1);
    caught(BACKFILL, "insert into\n\n\"usage\".\"bucket\" (a) values (1)", 3);
    caught(ACCOUNTS, "merge into usage.bucket b using account.device d on true when matched then delete", 1);
    caught(INGEST, "truncate table usage.outbox", 1);
    caught(INGEST, "copy usage.bucket from stdin", 1);
    caught(INGEST, "lock table usage.bucket in share mode", 1);
    caught(ROLLUP, "create index on usage.bucket (model)", 1);
}

#[test]
fn a_write_inside_a_common_table_expression_is_caught() {
    let sql = "with gone as (\n  delete from usage.outbox returning id\n)\nselect id from gone";
    caught(ROLLUP, sql, 2);
    let sql = "with a as (select 1), b (x, y) as not materialized (\n update backfill.job set z = 1 returning 1, 2)\nselect x from b, a";
    caught(ROLLUP, sql, 2);
}

#[test]
fn a_slice_that_reads_its_siblings_schema_is_caught() {
    caught(BACKFILL, "select day from rollup.daily", 1);
    caught(INGEST, "select 1 from usage.bucket b\ncross join lateral (select 1 from ops.switch) s", 2);
    caught(INGEST, "select 1 from usage.bucket b, usage.outbox o,\n rollup.daily d", 2);
    caught(INGEST, "select 1 from usage.bucket b join usage.outbox o on o.id = b.id,\n rollup.daily d", 2);
    caught(ACCOUNTS, "select (select max(version) from (usage.bucket b\n join rollup.user_state using (user_id)))", 2);
    caught(ACCOUNTS, "delete from account.token t\nusing ops.audit a where a.id = t.id", 2);
    caught(ACCOUNTS, "table rollup.daily", 1);
    caught(KERNEL, "select reason from ops.switch", 1);
    caught(KERNEL, "select reason from ops.audit", 1);
    caught(ACCOUNTS, "insert into ops.audit (reason) values ('x')", 1);
}

#[test]
fn a_siblings_function_type_or_table_name_in_a_string_is_caught() {
    caught(BACKFILL, "select\nrollup.fold($1)", 2);
    caught(BACKFILL, "select $1::rollup.lane", 1);
    caught(BACKFILL, "select cast($1 as rollup.lane)", 1);
    caught(BACKFILL, "select pg_total_relation_size('rollup.daily'::regclass)", 1);
    caught(BACKFILL, "select user_id from account.authenticate($1)", 1);
    caught(ACCOUNTS, "select account.authenticate($1)", 1);
}

#[test]
fn everybody_may_call_a_function_of_the_kernel_and_nobody_may_write_through_its_name() {
    let bounds = "where b.hour_start >= usage.window_start($2::date, $7) and b.hour_start < usage.window_end($3, $7)";
    for path in [ROLLUP, INGEST, BACKFILL, ACCOUNTS, KERNEL, "src/features/operations/ping.sql"] {
        passes(path, &format!("select usage.local_day_start($1::date, $2) from usage.bucket b {bounds}"));
        passes(path, "select h from generate_series(usage.window_start($1, $3), usage.window_end($2, $3), $4) as h");
        passes(path, "select f.begins from usage.bucket b, lateral usage.local_day_start($1, $2) f (begins)");
    }
    let unowned = "src/features/billing/find_day.sql";
    caught(unowned, "select usage.local_day_start($1, $2)", 1);
    caught(ROLLUP, "select window_start from usage.bucket\njoin window_start on true", 2);
    caught(ROLLUP, "insert into usage.window_start (a)\nselect usage.window_start($1, $2)", 1);
    caught(ROLLUP, "create or replace function\nusage.window_start(a date, b text) returns date return a", 2);
    caught(KERNEL, "select rollup.local_day_start($1, $2)", 1);
    caught(ACCOUNTS, "select 1 from usage.bucket b\nwhere b.hour_start >= backfill.window_start($1, $2)", 2);
    caught(BACKFILL, "select account.local_day_start($1, $2)", 1);
}

#[test]
fn a_table_without_a_schema_is_caught() {
    caught(ROLLUP, "select 1 from daily", 1);
    caught(ROLLUP, "insert into daily (a)\nselect 1", 1);
    caught(ROLLUP, "select 1 from rollup.daily d\nleft join outbox o on true", 2);
    caught(ROLLUP, "update daily set a = 1", 1);
    caught(ROLLUP, "create temp table staged (a int)", 1);
    caught(ROLLUP, "do $$ begin delete from usage.bucket; end $$", 1);
    caught(ROLLUP, "select 1 from \"rollup.daily\"", 1);
}

#[test]
fn the_kernel_that_writes_accounts_is_caught() {
    caught(KERNEL, "update account.token set last_used_at = $1", 1);
}

#[test]
fn sql_that_nobody_owns_is_caught() {
    caught("src/features/billing/find_invoice.sql", "select 1", 1);
    caught("src/find_user.sql", "select 1 from account.user", 1);
}

#[test]
fn a_slice_that_keeps_to_its_own_passes() {
    let fold = "
        -- delete from usage.bucket /* update ops.switch */
        /* insert into backfill.job /* nested */ select 1 from backfill.job */
        with recursive touched (user_id, day) as (
            select e.user_id, (e.first_hour at time zone s.time_zone)::date
            from usage.outbox as e
            left join rollup.user_state s using (user_id)
            where e.id = any ($1::bigint[]) and s.version is distinct from 3 and s.a is not distinct from s.b
            for update of s skip locked
        ), folded as materialized (
            select b.user_id, extract(epoch from b.hour_start) as seconds, substring(b.model from 1 for 3) as \"from daily\"
            from usage.bucket b, touched t
            where b.user_id = t.user_id and trim(both ' ' from b.model) <> 'insert into usage.bucket'
        ), upserted as (
            insert into rollup.daily as d (user_id, day) select user_id, day from folded
            on conflict (user_id, day) do update set day = excluded.day, seconds = 1
            where (d.*) is distinct from (excluded.*)
            returning d.user_id, d.day
        )
        select u.user_id, count(*) filter (where u.day > $2), coalesce((select max(version) from rollup.user_state), 0)
        from upserted u
        cross join lateral unnest($3::text[], $4::uuid[]) with ordinality as n (name, id)
        join generate_series(1, 3) g on true, rows from (generate_series(1, 2), unnest($5::int[])) r,
             (values (1, 2), (3, 4)) v (a, b), pg_timezone_names z, pg_catalog.pg_class c
        where exists (table touched) and (u.day, 1) in (select day, 1 from touched)
        group by u.user_id, u.day order by u.user_id, u.day for no key update";
    passes(ROLLUP, fold);
    passes(
        BACKFILL,
        "update backfill.job j set lease = $1 from usage.bucket b, account.user u where b.id = j.id returning j.id, j.lease",
    );
    passes(
        BACKFILL,
        "merge into backfill.step s using (select 1 as id from usage.bucket) n on true when matched then update set a = 1, b = 2 when not matched then insert (a, b) values (1, 2)",
    );
    passes(ACCOUNTS, "delete from only account.token t using account.device d where d.id = t.id");
    passes(ACCOUNTS, "select device_id from account.exchange($1, $2)");
    passes(KERNEL, "select user_id, 'rollup' from account.authenticate($1) where 'see rollup.daily' <> ''");
    passes(
        INGEST,
        "select b.model from usage.bucket b where b.hour_start between (select max(day) from usage.bucket) and now()",
    );
}
