//! Books: sealed, numbered, known by what they say, and refused with a line for everything that is wrong.

use serde_json::json;

use super::{file, import, me, move_to, read};
use crate::support::TestApp;

const PLAIN: &str = "openai,gpt-5,1.25,0.125,10,,,,,2025-08-07,,,page,,";

#[tokio::test]
async fn a_book_is_sealed_and_the_same_prices_are_the_same_book() {
    let app = TestApp::start().await;
    let (me, _) = me(&app, "UTC").await;
    let first = import(&app, &me, &file(&[PLAIN])).await;
    assert_eq!((first.status, &first.json["book"], &first.json["parent"]), (201, &json!(1), &json!(null)));
    let again = import(&app, &me, &file(&[PLAIN])).await;
    assert_eq!((again.status, &again.json), (200, &first.json));
    let more = import(&app, &me, &file(&[PLAIN, "xai,grok-5,3,,15,,,,,,,,page,,"])).await;
    assert_eq!((more.status, &more.json["book"], &more.json["parent"]), (201, &json!(2), &json!(1)));
    let rates = "select count(*)::text from price.rate";
    assert_eq!(app.ask(rates).await, ["3"], "gpt-5 is one rate in both books, and so is what is free");
    let acts = "select concat_ws(' ', action, subject, reason) from ops.audit where action like 'price%' order by 1";
    assert_eq!(app.ask(acts).await, ["price.import 1 a test", "price.import 2 a test"]);
    let books = read(&app, &me, "/v1/price-books").await;
    assert_eq!((&books["books"][0]["book"], &books["books"][1]), (&json!(2), &first.json));
    let refused = async |sql: &str| {
        let error = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&app.admin).await.unwrap_err();
        error.as_database_error().unwrap().code().unwrap().into_owned()
    };
    for change in [
        "update price.book set reason = 'other'",
        "delete from price.book",
        "update price.name set sku = 'xai/grok-5'",
        "delete from price.span",
        "update price.rate set input_price = 0",
        "truncate price.rate cascade",
        "truncate price.book cascade",
    ] {
        assert_eq!(refused(change).await, "P0001", "{change}");
    }
    for addition in [
        "insert into price.name values (1, '', 'gpt-6', 'openai/gpt-5', 'exact')",
        "insert into price.span select book, sku, '2020-01-01T00:00:00Z', '2020-01-02T00:00:00Z', null, 1, 1, 1
         from price.span limit 1",
    ] {
        let by_worker = format!("set local role halfhour_worker; {addition}");
        assert_eq!(refused(&by_worker).await, "42501", "{addition}");
    }
}

#[tokio::test]
async fn two_imports_at_once_are_one_book_where_they_say_the_same_and_two_where_not() {
    let app = TestApp::start().await;
    let (me, _) = me(&app, "UTC").await;
    let csv = file(&[PLAIN]);
    let (one, other) = tokio::join!(import(&app, &me, &csv), import(&app, &me, &csv));
    let mut states = [one.status, other.status];
    states.sort_unstable();
    assert_eq!((states, one.json["book"].clone()), ([200, 201], other.json["book"].clone()));
    let wider = [file(&[PLAIN, "xai,grok-5,3,,15,,,,,,,,page,,"]), file(&[PLAIN, "zai,glm-6,1,,2,,,,,,,,page,,"])];
    let (one, other) = tokio::join!(import(&app, &me, &wider[0]), import(&app, &me, &wider[1]));
    let mut states = [one.status, other.status];
    states.sort_unstable();
    assert_eq!(states, [201, 422], "the second does not price what the first does: {} {}", one.json, other.json);
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_file_is_said_by_line_and_column_and_nothing_is_written() {
    let app = TestApp::start().await;
    let (me, _) = me(&app, "UTC").await;
    for (line, column, code) in [
        ("openai,gpt-5,0.0000001,,,,,,,,,,page,,", "input_per_mtok_usd", "price_too_fine"),
        ("openai,gpt-5,10000.000001,,,,,,,,,,page,,", "input_per_mtok_usd", "price_too_high"),
        ("openai,gpt-5,-1,,,,,,,,,,page,,", "input_per_mtok_usd", "not_a_price"),
        ("openai,gpt-5,1e1,,,,,,,,,,page,,", "input_per_mtok_usd", "not_a_price"),
        ("openai,gpt-5,,,,,,,,,,,page,,", "input_per_mtok_usd", "no_price"),
        ("OpenAI,gpt-5,1,,,,,,,,,,page,,", "provider", "malformed_provider"),
        ("openai,,1,,,,,,,,,,page,,", "model_pattern", "missing"),
        ("openai,gpt-5,1,,,,,,,,,,,,", "source", "missing"),
        ("openai,gpt-5,1,,,0,2,,,,,,page,,", "long_context_threshold_tokens", "not_a_threshold"),
        ("openai,gpt-5,1,,,,2,,,,,,page,,", "long_context_threshold_tokens", "missing"),
        ("openai,gpt-5,1,,,,,,,2026-11-20T10:15:00Z,,,page,,", "effective_from", "not_a_half_hour"),
        ("openai,gpt-5,1,,,,,,,2026-11-20T10:30:01Z,,,page,,", "effective_from", "not_a_half_hour"),
        ("openai,gpt-5,1,,,,,,,20.11.2026,,,page,,", "effective_from", "not_an_instant"),
        ("openai,gpt-5,1,,,,,,,2019-12-31,,,page,,", "effective_from", "before_2020"),
        ("openai,gpt-5,1,,,,,,,2026-11-20,2026-11-20,,page,,", "effective_until", "span_is_empty"),
        ("openai,gpt-5,1,,,,,,,2026-01-01,2026-02-01,00:15-01:00,page,,", "daily_utc_window", "not_a_window"),
        ("openai,gpt-5,1,,,,,,,2026-01-01,,00:30-01:00,page,,", "daily_utc_window", "window_needs_bounds"),
        ("openai,gpt-5,1,,,,,,,2026-01-01,,other hours,page,,", "daily_utc_window", "no_other_hours"),
        ("openai,gpt-5,1,,,,,,,,,,page,,better", "declared", "unknown_declaration"),
        ("openai,gpt-5,1,,,,,,,,,,page,,correction", "note", "correction_needs_reason"),
    ] {
        let csv = file(&["xai,grok-5,3,,15,,,,,,,,page,,", line]);
        let problem = import(&app, &me, &csv).await.expect_problem(422, "invalid").clone();
        let found: Vec<_> =
            problem["errors"].as_array().unwrap().iter().map(|error| (&error["pointer"], &error["code"])).collect();
        assert_eq!(found, [(&json!(format!("/csv/3/{column}")), &json!(code))], "{line}");
    }
    let overlapping = file(&[PLAIN, "openai,gpt-5,1,,9,,,,,2026-01-01,,,page,,"]);
    let problem = import(&app, &me, &overlapping).await.expect_problem(422, "invalid").clone();
    assert_eq!(problem["errors"][0]["code"], "overlapping_span");
    for csv in ["", "a,b\n1,2\n", &file(&[]), &file(&["openai,gpt-5"])] {
        import(&app, &me, csv).await.expect_problem(422, "invalid");
    }
    assert_eq!(app.ask("select count(*)::text from price.book").await, ["0"]);
    assert_eq!(app.ask("select count(*)::text from price.rate").await, ["0"]);
}

#[tokio::test]
async fn a_price_never_changes_unless_it_is_declared_and_never_disappears() {
    let app = TestApp::start().await;
    let (me, _) = me(&app, "UTC").await;
    import(&app, &me, &file(&[PLAIN])).await.expect_ok_or_created();
    let until = |end: &str| format!("openai,gpt-5,1.25,0.125,10,,,,,2025-08-07,{end},,page,,");
    let then = |from: &str, declared: &str| format!("openai,gpt-5,1,0.1,9,,,,,{from},,,page,why,{declared}");
    let refused = async |lines: &[&str]| {
        let problem = import(&app, &me, &file(lines)).await.expect_problem(422, "invalid").clone();
        problem["errors"][0]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused(&["xai,grok-5,3,,15,,,,,,,,page,,"]).await, "price_removed");
    let (soon, past) = ("2026-11-20T12:30:00Z", "2026-11-20T11:30:00Z");
    assert_eq!(refused(&[&until(soon), &then(soon, "")]).await, "undeclared_difference");
    assert_eq!(refused(&[&until(soon)]).await, "undeclared_difference", "the end of a price is a change, too");
    assert_eq!(refused(&[&until(past), &then(past, "change")]).await, "change_of_the_past");
    assert_eq!(app.ask("select count(*)::text from price.book").await, ["1"]);
    import(&app, &me, &file(&[&until(soon), &then(soon, "change")])).await.expect_ok_or_created();
    import(&app, &me, &file(&[&until(past), &then(past, "correction")])).await.expect_ok_or_created();
    let earlier = file(&[&until(past), &then(past, ""), "openai,gpt-5,2,,12,,,,,2025-01-01,2025-08-07,,page,,"]);
    import(&app, &me, &earlier).await.expect_ok_or_created();
}

#[tokio::test]
async fn only_operators_add_books_and_everyone_with_a_token_reads_prices() {
    let app = TestApp::start().await;
    let (me, device) = me(&app, "UTC").await;
    let body = json!({"dated": "2026-11-20", "reason": "x", "csv": file(&[PLAIN])});
    let post = |token: &str| app.request(reqwest::Method::POST, "/v1/price-books").bearer(token).json(&body);
    for token in [&me.viewer, &device.token] {
        post(token).send().await.expect_problem(403, "wrong_principal");
    }
    let question = "/v1/prices?source=codex&model=gpt-5";
    for token in [&me.viewer, &me.operator, &device.token] {
        assert_eq!(app.get(token, question).await.expect_ok()["reason"], "no_book");
    }
    post(&me.operator).send().await.expect_ok_or_created();
    assert_eq!(read(&app, &me, question).await["reason"], "no_book", "a book that is imported is not in force");
    assert_eq!(read(&app, &me, &format!("{question}&book=1")).await["rates"][0]["per_mtok"]["input"], "1.25");
    app.get(&me.viewer, &format!("{question}&book=2")).await.expect_problem(404, "not_found");
    move_to(&app, 1).await;
    let reply = read(&app, &me, question).await;
    assert_eq!((&reply["book"], &reply["valid_to"]), (&json!(1), &json!(null)));
    assert_eq!(reply["valid_from"], "2025-08-07T00:00:00Z");
    assert_eq!(read(&app, &me, &format!("{question}&at=2025-08-06T23:30:00Z")).await["reason"], "no_price_then");
}
