//! What operators are answered at every page: at their own, and at those of viewers, where their session is none.

use std::collections::BTreeMap;

use crate::dashboard_page::Browser;
use crate::support::TestApp;

/// Who asks, in the order of the columns. Another operator is as good as any.
const OPERATORS: [&str; 4] = [
    "an operator's session",
    "another's session",
    "an operator's session that was ended",
    "an operator's bearer token",
];

const SEEN: [u16; 4] = [200, 200, 303, 303];
const NO_SUCH_JOB: [u16; 4] = [404, 404, 303, 303];
/// What these forms say is not acceptable.
const FORMS: [u16; 4] = [422, 422, 401, 401];
const NO_JOB_TO_CHANGE: [u16; 4] = [404, 404, 401, 401];

const TABLE: &[(&str, [u16; 4])] = &[
    ("GET /operate", SEEN),
    ("GET /operate/sign-in", [200; 4]),
    ("POST /operate/sign-in", [422; 4]),
    ("POST /operate/sign-out", [303, 303, 401, 401]),
    ("POST /operate/switches/{name}", FORMS),
    ("GET /operate/users", SEEN),
    ("GET /operate/prices", SEEN),
    ("GET /operate/coverage", SEEN),
    ("GET /operate/jobs", SEEN),
    ("POST /operate/jobs", FORMS),
    ("GET /operate/jobs/{job_id}", NO_SUCH_JOB),
    ("GET /operate/jobs/{job_id}/exceptions", NO_SUCH_JOB),
    ("POST /operate/jobs/{job_id}/execute", NO_JOB_TO_CHANGE),
    ("POST /operate/jobs/{job_id}/cancel", NO_JOB_TO_CHANGE),
    ("POST /operate/jobs/{job_id}/rollback", NO_JOB_TO_CHANGE),
];

/// What is for anybody, whatever session there is.
const FOR_ANYBODY: [(&str, u16); 3] = [("GET /sign-in", 200), ("POST /sign-in", 422), ("GET /assets/{name}", 404)];

/// What an operator is answered at a page that is no operator's: that its session is none there.
fn elsewhere(route: &str) -> [u16; 4] {
    let anybody = FOR_ANYBODY.iter().find(|(known, _)| *known == route);
    match anybody {
        Some((_, status)) => [*status; 4],
        None if route.starts_with("GET") => [403, 403, 303, 303],
        None => [401; 4],
    }
}

#[tokio::test]
async fn every_page_answers_operators_as_the_table_says() {
    let app = TestApp::start_with(|settings| settings.token_memory = std::time::Duration::ZERO).await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let mut ended = Browser::operating(&app, &ann).await;
    let cookie = ended.cookie().to_owned();
    ended.post("/operate/sign-out", &[]).await.leads_to("/operate/sign-in");
    let routes = halfhour::app::page_routes();
    let mut expected: BTreeMap<&str, [u16; 4]> = routes
        .iter()
        .filter(|route| !route.contains("/operate"))
        .map(|route| (route.as_str(), elsewhere(route)))
        .collect();
    expected.extend(TABLE.iter().copied());
    assert_eq!(expected.keys().map(|route| (*route).to_owned()).collect::<std::collections::BTreeSet<_>>(), routes);
    let mut wrong = Vec::new();
    for (route, statuses) in expected {
        for (operator, expected) in OPERATORS.iter().zip(statuses) {
            let mut browser = match *operator {
                "an operator's session" => Browser::operating(&app, &ann).await,
                "another's session" => Browser::operating(&app, &bob).await,
                "an operator's session that was ended" => ended.with_cookie(&cookie),
                _ => Browser::new(&app).with_bearer(&ann.operator),
            };
            let (method, path) = route.split_once(' ').unwrap();
            let id = "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2";
            let name = if route.contains("/assets/") { "nothing.css" } else { "ingest" };
            let path = path.replace("{job_id}", id).replace("{device_id}", id).replace("{token_id}", id);
            let path = path.replace("{name}", name).replace("{code}", "x");
            let shown = if method == "GET" { browser.get(&path).await } else { browser.post(&path, &[]).await };
            if shown.status != expected {
                wrong.push(format!("{route} for {operator}: {} and not {expected}", shown.status));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
