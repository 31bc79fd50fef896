//! A reprice by command: its worker, which folds too, is killed at ten points, and it ends as if nothing had been.

use std::process::Stdio;
use std::time::Duration;

use sqlx::Executor as _;

use crate::backfills::Scene;

const USERS: &str = "
    insert into account.user (user_id, name, time_zone)
    select md5(n::text)::uuid, 'user ' || n, 'Europe/Berlin' from generate_series(1, 600) n;
    insert into account.device (user_id, device_id, name, platform)
    select md5(n::text)::uuid, md5(n::text)::uuid, 'laptop', 'test' from generate_series(1, 600) n;
    insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, changed_at, stamped)
    select md5(n::text)::uuid, '2026-01-05T00:00Z'::timestamptz + h * interval '5 hours', md5(n::text)::uuid, 'codex',
        'gpt-5', 1000 + n, 0, 0, 0, h, 0, 0, 1, now(), now(), true
    from generate_series(1, 600) n, generate_series(1, 40) h";

/// Prices of which one changes within a local day.
const FIRST: &str = "provider,model_pattern,input_per_mtok_usd,output_per_mtok_usd,effective_from,effective_until,source,note,declared\n\
    openai,gpt-5,2,20,,,page,,\n";
const SECOND: &str = "provider,model_pattern,input_per_mtok_usd,output_per_mtok_usd,effective_from,effective_until,source,note,declared\n\
    openai,gpt-5,2,20,,2026-01-07T16:00:00Z,page,,\n\
    openai,gpt-5,3,30,2026-01-07T16:00:00Z,,page,it was misread,correction\n";

const ROWS: &str = "select count(*) || ' ' || md5(string_agg(d::text, ',' order by d::text)) from rollup.daily d";
const MOVED: &str = "select count(*)::text from rollup.user_state where book = 2";
/// No user's rows are in another book than its state says.
const MIXED: &str = "select count(*)::text
    from rollup.user_state s
    join rollup.daily r on r.user_id = s.user_id
    where not exists (
        select from price.span v
        where v.book = s.book and r.rate_id in (v.short_rate_id, v.long_rate_id, v.range_rate_id)
    )";

#[tokio::test]
async fn a_reprice_whose_worker_is_killed_at_ten_points_ends_as_if_nothing_had_been_and_leads_back() {
    let scene = Scene::new(1);
    scene.admin.execute(sqlx::raw_sql(USERS)).await.unwrap();
    for (name, text) in [("first", FIRST), ("second", SECOND)] {
        std::fs::write(scene.home.path().join(name), text).unwrap();
    }
    let plan = |book: &str| {
        let job = scene.home.json(&["price", "plan", book, "--reason", "it was misread"]);
        assert_eq!((&job["state"], &job["progress"]["total"]), (&"planned".into(), &601.into()), "{job}");
        job
    };
    let id = |job: &serde_json::Value| job["id"].as_str().unwrap().to_owned();
    assert_eq!(scene.home.json(&["price", "import", "first"])["book"], 1);
    let begun = scene.home.json(&["price", "execute", &id(&plan("1"))]);
    assert_eq!(begun["state"], "succeeded", "{begun}");
    assert_eq!(scene.home.json(&["price", "import", "second"])["book"], 2);
    let before = scene.ask(ROWS).await;

    let planned = plan("2");
    let totals = &planned["prices"]["totals"];
    assert_eq!((&totals["users"], &totals["newly_priced_tokens"]), (&600.into(), &"0".into()), "{planned}");
    let job = id(&planned);
    let mut last = 0;
    for kill in 1..=10_u64 {
        let mut command = scene.home.command();
        command.args(["price", "execute", &job, "--json"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut worker = command.spawn().unwrap();
        let goes_on = async { while scene.ask(MOVED).await.parse::<u64>().unwrap() <= last {} };
        tokio::time::timeout(Duration::from_mins(2), goes_on).await.expect("the job to go on");
        tokio::time::sleep(Duration::from_millis(kill * 3)).await;
        worker.kill().unwrap();
        worker.wait().unwrap();
        last = scene.ask(MOVED).await.parse().unwrap();
        assert_eq!(scene.ask(MIXED).await, "0", "after kill {kill}");
        assert!(last < 600, "the job ended before kill {kill}");
        scene.end_lease().await;
    }
    let ended = scene.home.json(&["price", "execute", &job]);
    assert_eq!((&ended["state"], &ended["prices"]["book"]), (&"succeeded".into(), &2.into()), "{ended}");
    let killed = scene.ask(ROWS).await;
    assert!(killed != before && scene.ask(MIXED).await == "0" && scene.ask(MOVED).await == "600");
    let back = scene.home.json(&["price", "rollback", &job]);
    assert_eq!((&back["state"], scene.ask(ROWS).await), (&"rolled_back".into(), before), "{back}");
    let undisturbed = scene.home.json(&["price", "execute", &id(&plan("2"))]);
    assert_eq!((&undisturbed["state"], scene.ask(ROWS).await), (&"succeeded".into(), killed), "{undisturbed}");
    scene.end().await;
}
