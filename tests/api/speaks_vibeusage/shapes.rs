//! The answers have the shape that the dashboard was content with: the same names in the same order, texts where it has
//! texts.

use serde_json::Value;

use super::{read, somebody};
use crate::support::TestApp;
use crate::support::rollups::Usage;
use crate::support::shapes::shape;

const CAPTURED: &str = include_str!("../../data/dialects/vu-dashboard-reads.json");
const COUNTS: &str = "total_tokens:text,billable_total_tokens:text,input_tokens:text,cached_input_tokens:text,\
    output_tokens:text,reasoning_output_tokens:text";

/// A call, with the text of its answer, whose names keep their order.
#[derive(serde::Deserialize)]
struct Call<'a> {
    method: String,
    path: String,
    query: Value,
    #[serde(borrow)]
    answer: &'a serde_json::value::RawValue,
}

/// The days of the captures are yet to come here.
fn earlier(query: &str) -> String {
    query.replace("2026-11-23", "2026-11-09").replace("2026-11-29", "2026-11-15").replace("2026-11-28", "2026-11-14")
}

async fn with_usage() -> (TestApp, crate::support::TestUser) {
    let app = TestApp::start().await;
    let usages = ["2026-11-09T10:00:00Z", "2026-11-14T09:30:00Z"].map(|hour| Usage::input(hour, 5));
    let (user, _) = somebody(&app, "UTC", &usages).await;
    (app, user)
}

#[tokio::test]
async fn every_captured_read_is_answered_in_the_captured_shape() {
    let (app, user) = with_usage().await;
    let calls: Vec<Call<'_>> = serde_json::from_str(CAPTURED).unwrap();
    let mut compared = 0;
    for call in calls.iter().filter(|call| call.method == "GET") {
        let pairs = call.query.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap()));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let slug = call.path.strip_prefix("/functions/vibeusage-").unwrap();
        let reply = read(&app, &user, slug, &earlier(&query)).await;
        if call.answer.get().starts_with('{') {
            assert_eq!(shape(&reply.body), shape(call.answer.get().as_bytes()), "{slug}");
            compared += 1;
        }
    }
    assert_eq!((calls.len(), compared), (5, 2));
}

#[tokio::test]
async fn the_other_reads_are_answered_as_the_dashboard_reads_them() {
    let (app, user) = with_usage().await;
    let of = async |slug: &str, query: &str| shape(&read(&app, &user, slug, query).await.body);
    let days = "from=2026-11-09&to=2026-11-15";
    let totals = format!("totals:{{{COUNTS},total_cost_usd:text}}");
    let pricing = "pricing:{model:text,pricing_mode:text,source:text,effective_from:text,\
        rates_per_million_usd:{input:text,cached_input:text,output:text,reasoning_output:text}}";
    assert_eq!(
        of("usage-daily", days).await,
        format!("{{from:text,to:text,data:[{{day:text,{COUNTS}}}],summary:{{{totals},{pricing}}}}}")
    );
    assert_eq!(
        of("usage-monthly", "months=2&to=2026-11-15").await,
        format!("{{from:text,to:text,months:number,data:[{{month:text,{COUNTS}}}]}}")
    );
    assert_eq!(
        of("usage-hourly", "day=2026-11-14").await,
        format!("{{day:text,data:[{{hour:text,{COUNTS}}}],sync:{{last_sync_at:null,min_interval_minutes:number}}}}")
    );
    assert_eq!(
        of("usage-heatmap", "weeks=2&to=2026-11-13").await,
        "{from:text,to:text,week_starts_on:text,thresholds:{t1:text,t2:text,t3:text},active_days:number,\
         streak_days:number,weeks:[[{day:text,value:text,level:number}]|[{day:text,value:text,level:number}|null]]}"
    );
    // Where nothing was heard of a device since, a half hour is missing.
    app.get(&user.viewer, "/v1/me").await.expect_ok();
    app.note_token_uses().await;
    assert_eq!(
        of("usage-hourly", "day=2026-11-20").await,
        format!(
            "{{day:text,data:[{{hour:text,{COUNTS}}}|{{hour:text,{COUNTS},missing:truth}}],\
             sync:{{last_sync_at:text,min_interval_minutes:number}}}}"
        )
    );
    let model = read(&app, &user, "usage-summary", "model=gpt&from=2026-11-09&to=2026-11-09").await.json;
    assert_eq!((&model["model"], &model["model_id"]), (&"gpt".into(), &"gpt".into()));
}
