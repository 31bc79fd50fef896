//! Merging two devices on the page: the plan before, what it does, the way back, and who may.

use std::time::Duration;

use super::{Browser, Shown, between, numbers, unescaped};
use crate::backfill::merges::{HOURS, Scene, used};
use crate::support::TestApp;

/// Plans a merge of the old device into the new one. Returns where its page is.
async fn planned(scene: &Scene, browser: &mut Browser, more: &[(&str, &str)]) -> String {
    let (from, into) = (scene.old.device_id.to_string(), scene.new.device_id.to_string());
    let fields = [&[("from", from.as_str()), ("into", into.as_str())][..], more].concat();
    let shown = browser.post("/settings/merges", &fields).await;
    assert_eq!(shown.status, 303, "{}", shown.text);
    let path = shown.header("location").to_owned();
    assert!(path.starts_with("/settings/merges/"), "{path}");
    path
}

#[track_caller]
fn version(shown: &Shown) -> String {
    between(&shown.text, "name=\"version\" value=\"", "\"").to_owned()
}

async fn revoke_old(scene: &Scene, browser: &mut Browser, path: &str) {
    let job = path.rsplit('/').next().unwrap();
    let revoke = format!("/settings/devices/{}/revoke", scene.old.device_id);
    browser.post(&revoke, &[("merge", job)]).await.leads_to(path);
}

#[tokio::test]
async fn a_merge_is_shown_before_it_is_done_and_is_taken_back() {
    let scene = Scene::start().await;
    let mut browser = Browser::signed_in(&scene.app, &scene.user).await;
    let before = scene.says().await;
    let form = browser.get(&format!("/settings/merges?from={}", scene.old.device_id)).await;
    assert!(form.page(200).contains("selected>laptop</option>"), "{}", form.text);
    let path = planned(&scene, &mut browser, &[]).await;
    let plan = browser.get(&path).await;
    let page = unescaped(plan.page(200));
    assert_eq!(plan.header("cache-control"), "no-store");
    // One half hour each, and the tokens of those that the old device has.
    assert_eq!(numbers(&page)[..4], [1, 1, 1, 1], "{page}");
    assert!(page.contains("wait for your choice") && page.contains("Revoke for good"), "{page}");
    assert!(!page.contains("Merge them now") && page.contains("laptop into laptop again"), "{page}");
    assert_eq!(scene.says().await, before, "a plan changes nothing");

    let job = path.rsplit('/').next().unwrap().to_owned();
    let path =
        planned(&scene, &mut browser, &[("resolve", "sum"), ("instead_of", &job), ("version", &version(&plan))]).await;
    let states = "select string_agg(state, ',' order by job_id) from backfill.job";
    assert_eq!(scene.app.ask(states).await, ["cancelled,planned"], "one plan is left");
    revoke_old(&scene, &mut browser, &path).await;
    let plan = browser.get(&path).await;
    assert!(plan.page(200).contains("Merge them now") && plan.text.contains("Both added up"), "{}", plan.text);
    browser.post(&format!("{path}/execute"), &[("version", &version(&plan))]).await.leads_to(&path);
    assert!(browser.get(&path).await.page(200).contains("Look again"));
    scene.app.work_and_fold().await;
    let done = browser.get(&path).await;
    assert!(done.page(200).contains("<strong>done</strong>") && done.text.contains("Take it back"), "{}", done.text);
    assert_eq!(scene.says().await, ["new 10:00 5", "new 10:30 7", "new 11:00 13", "new 11:30 1"]);
    scene.assert_folded().await;

    browser.post(&format!("{path}/rollback"), &[("version", &version(&done))]).await.leads_to(&path);
    scene.app.work_and_fold().await;
    assert!(browser.get(&path).await.page(200).contains("<strong>taken back</strong>"));
    assert_eq!(scene.says().await, before);
    let list = browser.get("/settings/merges").await;
    assert_eq!(list.page(200).matches("laptop into laptop again").count(), 2, "{}", list.text);
}

#[tokio::test]
async fn a_page_of_before_does_nothing_and_says_how_it_stands() {
    let scene = Scene::start().await;
    let mut browser = Browser::signed_in(&scene.app, &scene.user).await;
    let mut other = Browser::signed_in(&scene.app, &scene.user).await;
    let path = planned(&scene, &mut browser, &[("resolve", "larger")]).await;
    revoke_old(&scene, &mut browser, &path).await;
    let seen = version(&browser.get(&path).await);
    other.post(&format!("{path}/cancel"), &[("version", &seen)]).await.leads_to(&path);
    for act in ["execute", "cancel", "rollback"] {
        let stale = browser.post(&format!("{path}/{act}"), &[("version", &seen)]).await;
        let page = stale.page(412);
        assert!(page.contains("since you looked at it") && page.contains("<strong>cancelled</strong>"), "{page}");
    }
    // What the plan replaces has changed: the version is the same, and the plan is not true any more.
    let path = planned(&scene, &mut browser, &[("resolve", "larger")]).await;
    let seen = version(&browser.get(&path).await);
    let mut newer = used(HOURS[2], 5);
    newer["observed_at"] = "2026-11-19T13:00:00Z".into();
    scene.post(&scene.new, &[newer]).await;
    let before = scene.says().await;
    let stale = browser.post(&format!("{path}/execute"), &[("version", &seen)]).await;
    assert!(stale.page(409).contains("role=\"alert\"") && stale.text.contains("Merge them now"), "{}", stale.text);
    scene.app.work_and_fold().await;
    assert_eq!(scene.says().await, before);
    // Two who send the same form at once: one begins it, and the other is told so.
    let path = planned(&scene, &mut browser, &[("resolve", "larger")]).await;
    let seen = version(&browser.get(&path).await);
    let execute = format!("{path}/execute");
    let fields = [("version", seen.as_str())];
    let (one, two) = tokio::join!(browser.post(&execute, &fields), other.post(&execute, &fields));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 412], "{} {}", one.text, two.text);
}

#[tokio::test]
async fn a_merge_of_somebody_else_looks_as_if_it_did_not_exist() {
    let scene = Scene::start().await;
    let bob = scene.app.user("bob", "UTC").await;
    let theirs = scene.app.device(&bob, "theirs").await.device_id.to_string();
    let mut browser = Browser::signed_in(&scene.app, &scene.user).await;
    let mut bobs = Browser::signed_in(&scene.app, &bob).await;
    let path = planned(&scene, &mut browser, &[("resolve", "larger")]).await;
    bobs.get(&path).await.page(404);
    for act in ["execute", "cancel", "rollback"] {
        bobs.post(&format!("{path}/{act}"), &[("version", "2")]).await.page(404);
    }
    let (old, new) = (scene.old.device_id.to_string(), scene.new.device_id.to_string());
    for (from, into) in [(&old, &theirs), (&theirs, &new), (&old, &new)] {
        bobs.post("/settings/merges", &[("from", from), ("into", into)]).await.page(404);
    }
    assert!(!bobs.get("/settings/merges").await.page(200).contains("laptop"));
    // Nor can a plan of somebody else be cancelled by one that takes its place.
    scene.app.device(&bob, "theirs too").await;
    let second = scene.app.ask("select device_id::text from account.device where name = 'theirs too'").await.remove(0);
    let job = path.rsplit('/').next().unwrap();
    let fields = [("from", theirs.as_str()), ("into", second.as_str()), ("instead_of", job), ("version", "2")];
    assert_eq!(bobs.post("/settings/merges", &fields).await.status, 303);
    let state = format!("select state from backfill.job where job_id = '{job}'");
    assert_eq!(scene.app.ask(&state).await, ["planned"]);
    // An operator's other jobs are no merges, and no page shows them.
    let replay = serde_json::json!({"action": "replay", "reason": "x", "from": "2026-11-01", "to": "2026-11-02"});
    let replay = scene.app.planned(&scene.user.operator, &replay).await;
    browser.get(&format!("/settings/merges/{}", replay["id"].as_str().unwrap())).await.page(404);
}

#[tokio::test]
async fn what_cannot_be_merged_is_said_with_both_devices_still_chosen() {
    let scene = Scene::start().await;
    let mut browser = Browser::signed_in(&scene.app, &scene.user).await;
    let (old, new) = (scene.old.device_id.to_string(), scene.new.device_id.to_string());
    let same = browser.post("/settings/merges", &[("from", &old), ("into", &old)]).await;
    assert!(same.page(422).contains("not merged into itself"), "{}", same.text);
    assert_eq!(same.text.matches("selected>laptop</option>").count(), 2, "{}", same.text);
    for fields in [
        vec![("from", old.as_str())],
        vec![("from", ""), ("into", new.as_str())],
        vec![("from", old.as_str()), ("into", new.as_str()), ("resolve", "mine")],
        vec![("from", old.as_str()), ("into", new.as_str()), ("colour", "red")],
    ] {
        assert!(browser.post("/settings/merges", &fields).await.page(422).contains("role=\"alert\""), "{fields:?}");
    }
    // The half hour now is not over.
    scene.post(&scene.old, &[serde_json::json!({"hour_start": "2026-11-20T12:00:00Z", "source": "codex", "model": "m", "input_tokens": 3})]).await;
    let early = browser.post("/settings/merges", &[("from", &old), ("into", &new)]).await;
    assert!(early.page(409).contains("plan again then") && early.text.contains("selected>laptop</option>"));
    assert_eq!(scene.app.ask("select count(*)::text from backfill.job").await, ["0"]);
    // Nobody merges by a form of another site.
    for path in ["/settings/merges", "/settings/usage", "/settings/erase", "/settings/tokens"] {
        for headers in [vec![], vec![("sec-fetch-site", "cross-site")], vec![("origin", "https://evil.example")]] {
            let stolen = browser.post_saying(path, &[("from", &old), ("into", &new)], &headers).await;
            assert!(stolen.page(403).contains("another site"), "{path} {headers:?}");
        }
    }
}

#[tokio::test]
async fn a_plan_whose_session_ended_is_kept_and_made_by_nobody_else() {
    let app = TestApp::start_with(|settings| settings.token_memory = Duration::ZERO).await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let (old, new) = (app.device(&ann, "old").await.device_id, app.device(&ann, "new").await.device_id);
    let (old, new) = (old.to_string(), new.to_string());
    let mut browser = Browser::signed_in(&app, &ann).await;
    Browser::signed_in(&app, &ann).await.post("/sign-out", &[("everywhere", "yes")]).await.leads_to("/sign-in");
    let asked = browser.post("/settings/merges", &[("from", &old), ("into", &new)]).await;
    let held = unescaped(between(asked.page(401), "name=\"held\" value=\"", "\""));
    let sign_in = async |token: &str| {
        let mut browser = Browser::new(&app);
        let held = [("token", token), ("held", held.as_str()), ("held_to", "/settings/merges")];
        let shown = browser.post("/sign-in", &held).await;
        assert!(shown.page(200).contains(&format!("value=\"{old}\"")), "{}", shown.text);
        browser
    };
    // Somebody else on that browser has no such devices.
    sign_in(&bob.viewer).await.post("/settings/merges", &[("from", &old), ("into", &new)]).await.page(404);
    assert_eq!(app.ask("select count(*)::text from backfill.job").await, ["0"]);
    let made = sign_in(&ann.viewer).await.post("/settings/merges", &[("from", &old), ("into", &new)]).await;
    assert_eq!(made.status, 303, "{}", made.text);
}

/// Of tables that PostgreSQL has never counted, as those of a new installation are, it knows nothing.
#[tokio::test]
async fn a_year_of_two_devices_is_planned_in_a_moment_on_a_new_installation() {
    let scene = Scene::empty().await;
    for (device, counted) in [(&scene.old, "n"), (&scene.new, "n % 1000")] {
        let fill = format!(
            "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
                 cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
                 request_count, observed_at, changed_at, stamped)
             select '{}', '2026-01-01T00:00Z'::timestamptz + n * interval '30 minutes', '{}', 'codex', 'm', {counted}, 0, 0, 0,
                 0, 0, 0, 1, '2026-11-19T12:00Z', '2026-11-19T12:00Z', true
             from generate_series(1, 12000) n",
            scene.user.user_id, device.device_id
        );
        scene.app.tell(&fill).await;
    }
    let mut browser = Browser::signed_in(&scene.app, &scene.user).await;
    let path = planned(&scene, &mut browser, &[("resolve", "larger")]).await;
    assert_eq!(numbers(browser.get(&path).await.page(200))[..4], [0, 0, 999, 11_001]);
}
