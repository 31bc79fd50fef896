-- Why: what the tokens would have cost at public list prices is asked of every rollup. Prices stand in numbered books that
-- never change once they are sealed, a rate is one immutable row that books share, and the fold writes down which rate a
-- row falls under. An amount is never stored: it is multiplied out when it is read, in integers
-- (docs/decisions/0042).
-- Meaning of stored rows: rate 0 stands for "no rate", and a user without a book has no cost. Nothing is replayed. The key
-- of rollup.daily stays as it is until a first book is put in force, so that a process of the release before folds on
-- beside this one. price.key_rollups, which 0041 calls where the table is empty, changes the key; from then on the
-- fold of an older release fails without writing anything, and the relay of this release folds instead.
-- A job may put a book in force and take that back. An older release reads no job whose action is reprice.
-- Way back: put no book in force. After one was: `delete from price.in_force`, remove the rows of rollup.daily, put the
-- key of 0015 back, and replay every user.
set local lock_timeout = '5s';

create schema price;
comment on schema price is 'Public list prices, in books. Written only by the pricing slice; every slice may read it.';
grant usage on schema price to halfhour_api, halfhour_worker;

create table price.book (
    version integer not null,
    state text not null default 'draft',
    content_hash bytea not null,
    parent integer,
    dated date not null,
    reason text not null,
    imported_by text not null,
    imported_at timestamptz not null default clock_timestamp(),
    constraint book_pkey primary key (version),
    constraint book_content_hash_key unique (content_hash),
    constraint book_parent_fkey foreign key (parent) references price.book (version),
    constraint book_version_is_positive check (version > 0),
    constraint book_parent_is_older check (parent < version),
    constraint book_state_is_known check (state in ('draft', 'sealed')),
    constraint book_content_hash_is_sha256 check (octet_length(content_hash) = 32),
    constraint book_reason_is_short check (char_length(reason) between 1 and 500),
    constraint book_imported_by_is_known check (imported_by in ('operator', 'command', 'server'))
);
comment on table price.book is 'Price books. One that is sealed never changes, and neither does what belongs to it.';
comment on column price.book.version is 'Its number.';
comment on column price.book.state is 'draft while its import runs, sealed ever after.';
comment on column price.book.content_hash is 'SHA-256 of everything it says, so that the same prices are one book.';
comment on column price.book.parent is 'The book before it; null for the first.';
comment on column price.book.dated is 'As of which day its prices are known.';
comment on column price.book.reason is 'Why it was imported, in words.';
comment on column price.book.imported_by is 'operator by a token, command for the binary on the machine, server for what a release brought.';
comment on column price.book.imported_at is 'When, by the database''s clock.';

create table price.rate (
    rate_id integer generated always as identity,
    rate_hash bytea not null,
    provider text collate "C" not null,
    sku text collate "C" not null,
    tier text not null,
    input_price bigint,
    cache_read_price bigint,
    cache_write_5m_price bigint,
    cache_write_1h_price bigint,
    output_price bigint,
    high_input_price bigint,
    high_cache_read_price bigint,
    high_cache_write_5m_price bigint,
    high_cache_write_1h_price bigint,
    high_output_price bigint,
    threshold bigint,
    evidence text not null,
    constraint rate_pkey primary key (rate_id),
    constraint rate_hash_key unique (rate_hash),
    constraint rate_hash_is_sha256 check (octet_length(rate_hash) = 32),
    constraint rate_tier_is_known check (tier in ('short', 'long', 'range')),
    constraint rate_threshold_is_positive check (threshold > 0),
    constraint rate_prices_are_sane check (
        coalesce(least(
            input_price, cache_read_price, cache_write_5m_price, cache_write_1h_price, output_price
        ), 0) >= 0
        and coalesce(greatest(
            input_price, cache_read_price, cache_write_5m_price, cache_write_1h_price, output_price,
            high_input_price, high_cache_read_price, high_cache_write_5m_price, high_cache_write_1h_price,
            high_output_price
        ), 0) <= 10000000000
    ),
    constraint rate_high_is_not_lower check (
        input_price <= high_input_price is not false
        and cache_read_price <= high_cache_read_price is not false
        and cache_write_5m_price <= high_cache_write_5m_price is not false
        and cache_write_1h_price <= high_cache_write_1h_price is not false
        and output_price <= high_output_price is not false
    )
);
comment on table price.rate is 'Prices of the token classes, in micro-dollars per million tokens. Addressed by content: what two books share is one row. Never changed.';
comment on column price.rate.rate_id is 'What rollup.daily says. 0 is no rate and has no row.';
comment on column price.rate.rate_hash is 'SHA-256 of the sku, the tier and the prices.';
comment on column price.rate.provider is 'Whose price list it is from.';
comment on column price.rate.sku is 'What is sold: the provider, its model, and how it is run.';
comment on column price.rate.tier is 'short: the base price, long: the price above the threshold, range: between the two.';
comment on column price.rate.input_price is 'Of input; null where no price is known, 0 where it is stated free.';
comment on column price.rate.cache_read_price is 'Of input that was read from a cache.';
comment on column price.rate.cache_write_5m_price is 'Of writes into a cache of minutes.';
comment on column price.rate.cache_write_1h_price is 'Of writes into a cache of an hour or more.';
comment on column price.rate.output_price is 'Of output, reasoning included.';
comment on column price.rate.high_input_price is 'The highest that input may have cost; equal to the price unless the tier is range.';
comment on column price.rate.high_cache_read_price is 'The highest of cache reads.';
comment on column price.rate.high_cache_write_5m_price is 'The highest of writes into a cache of minutes.';
comment on column price.rate.high_cache_write_1h_price is 'The highest of writes into a cache of an hour.';
comment on column price.rate.high_output_price is 'The highest of output.';
comment on column price.rate.threshold is 'A request with a longer prompt costs the long price as a whole; null where length does not matter.';
comment on column price.rate.evidence is 'Where the price was found.';

create table price.name (
    book integer not null,
    source text collate "C" not null,
    name text collate "C" not null,
    sku text collate "C" not null,
    rule text not null,
    constraint name_pkey primary key (book, name, source),
    constraint name_book_fkey foreign key (book) references price.book (version)
);
comment on table price.name is 'Every spelling of a model that a book accepts, made at import. The fold compares bytes and nothing else.';
comment on column price.name.book is 'The book.';
comment on column price.name.source is 'Only as this tool reports it; empty for every tool that has no list of its own.';
comment on column price.name.name is 'The model as buckets have it.';
comment on column price.name.sku is 'What it stands for.';
comment on column price.name.rule is 'How the spelling was made: the audit of the match.';

create table price.span (
    book integer not null,
    sku text collate "C" not null,
    from_hour timestamptz not null,
    to_hour timestamptz not null,
    threshold bigint,
    short_rate_id integer not null,
    long_rate_id integer not null,
    range_rate_id integer not null,
    constraint span_pkey primary key (book, sku, from_hour),
    constraint span_book_fkey foreign key (book) references price.book (version),
    constraint span_is_not_empty check (from_hour < to_hour),
    constraint span_is_of_half_hours check (
        extract(epoch from from_hour)::bigint % 1800 = 0 and extract(epoch from to_hour)::bigint % 1800 = 0
    )
);
comment on table price.span is 'Which rates hold for a sku from when to when, in whole half hours and without overlaps. Calendars are expanded at import.';
comment on column price.span.book is 'The book.';
comment on column price.span.sku is 'What is sold.';
comment on column price.span.from_hour is 'The first half hour; 2000 where the beginning is not known.';
comment on column price.span.to_hour is 'The first half hour after it; 9000 where no end is known.';
comment on column price.span.threshold is 'As in price.rate.';
comment on column price.span.short_rate_id is 'Of a half hour whose whole prompt is within the threshold.';
comment on column price.span.long_rate_id is 'Of a half hour with one request above the threshold.';
comment on column price.span.range_rate_id is 'Of a half hour whose requests may have been on either side.';

-- A trigger cannot be written in SQL, and none of these is fired by what requests do (0029).
create function price.refuse_change() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    raise exception 'what a price book says never changes' using errcode = 'P0001';
end
$$;
comment on function price.refuse_change() is 'The trigger of the tables of this schema. It raises an error, so that no sealed book, and no rate, is ever changed or removed.';
revoke all on function price.refuse_change() from public;
create trigger rates_never_change before update or delete or truncate on price.rate
    for each statement execute function price.refuse_change();
create trigger names_never_change before update or delete or truncate on price.name
    for each statement execute function price.refuse_change();
create trigger spans_never_change before update or delete or truncate on price.span
    for each statement execute function price.refuse_change();
create trigger books_are_not_emptied before truncate on price.book
    for each statement execute function price.refuse_change();
create trigger sealed_books_never_change before update or delete on price.book
    for each row when (old.state = 'sealed') execute function price.refuse_change();

alter table price.book enable row level security, force row level security;
alter table price.rate enable row level security, force row level security;
alter table price.name enable row level security, force row level security;
alter table price.span enable row level security, force row level security;
create policy everyone_reads on price.book for select to halfhour_api using (true);
create policy everyone_reads on price.rate for select to halfhour_api using (true);
create policy everyone_reads on price.name for select to halfhour_api using (true);
create policy everyone_reads on price.span for select to halfhour_api using (true);
create policy worker_handles_all on price.book to halfhour_worker using (true) with check (true);
create policy worker_handles_all on price.rate to halfhour_worker using (true) with check (true);
create policy worker_reads_all on price.name for select to halfhour_worker using (true);
create policy worker_adds_to_drafts on price.name for insert to halfhour_worker
    with check (exists (select from price.book b where b.version = book and b.state = 'draft'));
create policy worker_reads_all on price.span for select to halfhour_worker using (true);
create policy worker_adds_to_drafts on price.span for insert to halfhour_worker
    with check (exists (select from price.book b where b.version = book and b.state = 'draft'));
grant select on price.book, price.rate, price.name, price.span to halfhour_api, halfhour_worker;
grant insert, update (state) on price.book to halfhour_worker;
grant insert on price.rate, price.name, price.span to halfhour_worker;

create function usage.prompt_of(bucket usage.bucket) returns bigint
language sql immutable parallel safe
return bucket.input_tokens + bucket.cache_read_tokens + bucket.cache_write_5m_tokens + bucket.cache_write_1h_tokens;
comment on function usage.prompt_of(usage.bucket) is 'The tokens of all prompts of a bucket, as far as they are classified.';
create function usage.longest_prompt_of(bucket usage.bucket) returns bigint
language sql immutable parallel safe
return bucket.input_tokens + bucket.cache_read_tokens + bucket.cache_write_5m_tokens + bucket.cache_write_1h_tokens
    + bucket.unclassified_tokens;
comment on function usage.longest_prompt_of(usage.bucket) is
    'The longest that one prompt of a bucket can have been: all prompts together, with what is unclassified.';
create function usage.rate_of(
    threshold bigint, request_count bigint, prompt_tokens bigint, longest_prompt bigint,
    short_rate_id integer, long_rate_id integer, range_rate_id integer
)
returns integer
language sql immutable parallel safe
return case
    when short_rate_id is null then 0
    -- No request can be longer than all of them together.
    when threshold is null or longest_prompt <= threshold then short_rate_id
    when request_count = 1 and prompt_tokens > threshold then long_rate_id
    else range_rate_id
end;
comment on function usage.rate_of(bigint, bigint, bigint, bigint, integer, integer, integer) is
    'Which of the three rates of a span a bucket falls under; 0 where it has no span. What is not known to be short or long is a range.';
revoke all on function usage.prompt_of(usage.bucket) from public;
revoke all on function usage.longest_prompt_of(usage.bucket) from public;
grant execute on function usage.prompt_of(usage.bucket) to halfhour_api, halfhour_worker;
grant execute on function usage.longest_prompt_of(usage.bucket) to halfhour_api, halfhour_worker;
revoke all on function usage.rate_of(bigint, bigint, bigint, bigint, integer, integer, integer) from public;
grant execute on function usage.rate_of(bigint, bigint, bigint, bigint, integer, integer, integer)
    to halfhour_api, halfhour_worker;

alter table rollup.daily add column rate_id integer not null default 0;
comment on column rollup.daily.rate_id is 'The rate of price.rate that every token of the row falls under; 0 where there is none.';
alter table rollup.user_state add column book integer;
comment on column rollup.user_state.book is 'The book that the user''s rows are in; null where prices were never asked for.';

create table price.in_force (
    is_only boolean not null default true,
    book integer not null,
    since timestamptz not null default clock_timestamp(),
    constraint in_force_pkey primary key (is_only),
    constraint in_force_is_one_row check (is_only),
    constraint in_force_book_fkey foreign key (book) references price.book (version)
);
comment on table price.in_force is 'The book that new rollups are folded in, and that the others are moved to. Empty where there is no cost.';
comment on column price.in_force.is_only is 'Always true: there is one row at most.';
comment on column price.in_force.book is 'The book.';
comment on column price.in_force.since is 'Since when, by the database''s clock.';
alter table price.in_force enable row level security, force row level security;
create policy everyone_reads on price.in_force for select to halfhour_api using (true);
create policy worker_handles_all on price.in_force to halfhour_worker using (true) with check (true);
grant select on price.in_force to halfhour_api;
grant select, insert, update, delete on price.in_force to halfhour_worker;

alter table backfill.job add column book integer;
alter table backfill.job add column former_book integer;
alter table backfill.job add column prices jsonb;
comment on column backfill.job.action is 'import buckets, replay a window into the rollups, verify them, merge a device into another, or reprice the rollups in another price book.';
comment on column backfill.job.book is 'Reprices only: the price book that is put in force.';
comment on column backfill.job.former_book is 'Reprices only: the price book that was in force when it was planned, which a rollback puts in force again; null where there was none.';
comment on column backfill.job.prices is 'Reprices only: what changes, by sku and month.';
alter table backfill.job drop constraint job_action_is_known;
alter table backfill.job
    add constraint job_action_is_known check (action in ('import', 'replay', 'verify', 'merge', 'reprice')) not valid;
alter table backfill.job drop constraint job_only_changes_roll_back;
alter table backfill.job
    add constraint job_only_changes_roll_back check (
        action in ('import', 'merge', 'reprice') or rollbacks = 0
    ) not valid;
alter table backfill.job
    add constraint job_reprice_has_a_book check (
        (action = 'reprice') = (book is not null) and (action = 'reprice' or (former_book is null and prices is null))
    ) not valid;

-- Changes the key of rollup.daily to the one with the rate, whose index 0040 builds. It takes a moment, whatever the size.
create function price.key_rollups() returns void
language sql security definer
set search_path = ''
set lock_timeout = '5s'
as $$
    alter table rollup.daily
        drop constraint daily_pkey,
        add constraint daily_pkey primary key using index daily_rate_key
$$;
comment on function price.key_rollups() is
    'Makes the index daily_rate_key the key of rollup.daily. For the holder of the fold lock, before a first book is put in force.';
revoke all on function price.key_rollups() from public;
grant execute on function price.key_rollups() to halfhour_worker;
