-- Keeps with a job what its price book changes, and against which one.
-- $1 job_id; $2 former_book: null where none is in force; $3 prices: the diff.
-- Index: job_pkey.
update backfill.job j
set former_book = $2,
    prices = $3,
    plan_hash = encode(
        sha256(convert_to(format('%s %s %s %s', j.action, j.book, $2::integer, $3::jsonb), 'UTF8')), 'hex'
    )
where j.job_id = $1
