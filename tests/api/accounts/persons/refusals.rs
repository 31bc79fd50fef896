//! Who is not erased: whoever did not say so, whoever else asks, and the last operator.

use serde_json::json;

use super::super::violations;
use super::{NAME, confirmed};
use crate::support::{TestApp, context};

#[tokio::test]
async fn without_the_very_name_nobody_is_erased_and_nothing_changes() {
    let app = TestApp::start().await;
    let (bob, _) = app.somebody("bob", 5).await;
    let (ann, device) = app.somebody(NAME, 7).await;
    app.get(&ann.viewer, "/v1/me").await.expect_ok();
    let before = app.everything(None).await;
    let decomposed = "A\u{308}nnchen von Tharau";
    for (query, expected) in [
        (String::new(), ("?confirm", "missing")),
        ("dry_run=false".into(), ("?confirm", "missing")),
        ("confirm=".into(), ("?confirm", "not_the_name")),
        (confirmed("bob"), ("?confirm", "not_the_name")),
        (confirmed("ännchen von Tharau"), ("?confirm", "not_the_name")),
        (confirmed(decomposed), ("?confirm", "not_the_name")),
        (confirmed(&format!("{NAME} ")), ("?confirm", "not_the_name")),
        (format!("{}&dry_run=true", confirmed("bob")), ("?confirm", "not_the_name")),
        (format!("{}&everything=true", confirmed(NAME)), ("?everything", "unknown_parameter")),
        (format!("{}&dry_run=1", confirmed(NAME)), ("?dry_run", "not_a_boolean")),
    ] {
        let reply = app.erase_me(&ann, &query).await;
        reply.expect_problem(422, "invalid");
        assert_eq!(violations(&reply), [expected], "{query}");
        assert!(!String::from_utf8_lossy(&reply.body).contains("Tharau"), "a refusal repeats no name");
    }
    for token in [&device.token, &ann.operator, &bob.operator] {
        let path = format!("/v1/me?{}", confirmed(NAME));
        app.request(reqwest::Method::DELETE, &path).bearer(token).send().await.expect_problem(403, "wrong_principal");
    }
    assert_eq!(app.everything(None).await, before);
    app.erase_me(&ann, &format!("{}&dry_run=true", confirmed(NAME))).await.expect_ok();
    assert_eq!(app.everything(None).await, before);
}

#[tokio::test]
async fn the_last_who_can_operate_stays_and_is_told_what_to_do() {
    let app = TestApp::start().await;
    let (ann, _) = app.somebody(NAME, 7).await;
    app.get(&ann.viewer, "/v1/me").await.expect_ok();
    let before = app.everything(None).await;
    let refused = app.erase_person(&ann).await;
    let detail = refused.expect_problem(409, "conflict")["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("halfhour token issue --kind operator"), "{detail}");
    assert_eq!(app.everything(None).await, before, "nothing was erased");

    // Operators who cannot operate any more do not count: revoked, or with a token that is.
    let (bob, eve) = (app.user("bob", "UTC").await, app.user("Ottilie", "UTC").await);
    app.tell(&format!("update account.user set revoked_at = now() where user_id = '{}'", bob.user_id)).await;
    app.tell(&format!("update account.token set revoked_at = now() where user_id = '{}'", eve.user_id)).await;
    app.erase_person(&ann).await.expect_problem(409, "conflict");
    app.tell(&format!(
        "update account.token set revoked_at = null, expires_at = now() - interval '1 minute' where user_id = '{}'",
        eve.user_id
    ))
    .await;
    app.erase_person(&ann).await.expect_problem(409, "conflict");
    app.tell(&format!("update account.token set expires_at = null where user_id = '{}'", eve.user_id)).await;
    app.erase_person(&ann).await.expect_ok();
    // On the machine one can make another operator, so that there the last one may go.
    let persons = app.persons();
    let (actor, until) = (halfhour::kernel::access::Actor::Command, std::time::Instant::now());
    persons.erase(&context(), actor, eve.user_id, true, until).await.unwrap();
    persons.run_pass().await.unwrap();
    app.assert_gone(&eve, &["Ottilie"]).await;
}

#[tokio::test]
async fn of_two_operators_who_go_at_once_one_stays() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    for round in 0..4 {
        let names = [format!("ann {round}"), format!("bob {round}")];
        let (ann, bob) = (app.user(&names[0], "UTC").await, app.user(&names[1], "UTC").await);
        let (one, two) = tokio::join!(app.erase_person(&ann), other.erase_person(&bob));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{one:?} {two:?}");
        let operators = "select count(*)::text from account.token where kind = 'operator'";
        assert_eq!(app.ask(operators).await, ["1"]);
        app.tell("update account.user set revoked_at = now()").await;
        app.tell("delete from account.token where kind = 'operator'").await;
    }
}

#[tokio::test]
async fn a_user_who_was_revoked_can_be_erased_by_name_or_by_id_where_names_repeat() {
    let app = TestApp::start().await;
    let (_bob, _) = app.somebody("bob", 5).await;
    let (first, _) = app.somebody("ann", 7).await;
    let actor = halfhour::kernel::access::Actor::Command;
    app.accounts().users.revoke(&context(), actor, "ann").await.unwrap();
    let persons = app.persons();
    assert_eq!(persons.find_named(&context(), "ann").await.unwrap(), first.user_id);
    let (second, _) = app.somebody("ann", 9).await;
    let several = persons.find_named(&context(), "ann").await.unwrap_err();
    assert_eq!(several.code().as_str(), "conflict");
    assert_eq!(persons.find_named(&context(), "eve").await.unwrap_err().code().as_str(), "not_found");

    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let erased = persons.erase(&context(), actor, first.user_id, true, until).await.unwrap();
    assert!(erased.finished && erased.buckets == 1, "{erased:?}");
    assert_eq!(app.rows_of(second.user_id).await["usage.bucket"], 1, "the other of this name keeps everything");
    assert_eq!(app.get(&second.viewer, "/v1/rollups").await.expect_ok()["totals"]["input_tokens"], 9);
    app.assert_gone(&first, &[]).await;
    let again = persons.erase(&context(), actor, first.user_id, true, until).await.unwrap_err();
    assert_eq!(again.code().as_str(), "not_found");
    assert!(persons.go_on(&context(), first.user_id, until).await.unwrap().finished);
    assert_eq!(json!(app.rows_of(first.user_id).await), json!({"account.erased_user": 1, "usage.erasure": 1}));
}
