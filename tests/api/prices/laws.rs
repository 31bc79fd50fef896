//! Laws of amounts: parts add up to their whole in every zone, a receipt multiplies out to its totals, and what is not known
//! is never a number.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc, Weekday};
use serde_json::{Value, json};

use super::digits::Digits;
use super::{file, me, post, put_in_force, read};
use crate::support::{TestApp, TestDevice, TestUser, instant};

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"];

/// Prices with three changes inside of local days, a peak, and a threshold.
pub const LINES: [&str; 8] = [
    "openai,gpt-5,1.25,0.125,10,,,,,,2026-02-03T16:00:00Z,,page,,",
    "openai,gpt-5,1,0.1,9.5,,,,,2026-02-03T16:00:00Z,2026-05-10T03:30:00Z,,page,,",
    "openai,gpt-5,0.003625,0,7,,,,,2026-05-10T03:30:00Z,2026-09-01T21:00:00Z,,page,,",
    "openai,gpt-5,2,0.2,12,,,,,2026-09-01T21:00:00Z,,,page,,",
    "google,gemini-3,2,0.2,12,1000,4,0.4,18,,,,page,,",
    "deepseek,deepseek-v9,3,0.3,6,,,,,2026-01-01,,\"Mon-Fri 01:00-04:00 and 06:00-10:00 UTC, not on Chinese public holidays\",page,,",
    "deepseek,deepseek-v9,1,0.1,2,,,,,2026-01-01,,other hours,page,,",
    "xai,grok-9,5,,,,,,,2026-06-01,,,page,no output price,",
];

const MODELS: [&str; 5] = ["gpt-5", "gemini-3", "deepseek-v9", "grok-9", "nobody-knows-me"];

/// The public holidays of China in 2026 that are no Saturdays and Sundays, day by day.
const HOLIDAYS: [&str; 22] = [
    "01-01", "01-02", "02-16", "02-17", "02-18", "02-19", "02-20", "02-23", "04-06", "05-01", "05-04", "05-05",
    "06-19", "09-25", "10-01", "10-02", "10-05", "10-06", "10-07", "01-03", "04-04", "06-20",
];

/// A request: what it read, what it found in the cache, what it wrote.
pub type Request = [u64; 3];

/// The prices of a class at an hour, by the lines above: input, cache reads, output.
type ClassPrices = [Option<&'static str>; 3];

fn prices(model: &str, hour: DateTime<Utc>, is_long: bool) -> ClassPrices {
    let all = |prices: [&'static str; 3]| prices.map(Some);
    match model {
        "gpt-5" if hour < instant("2026-02-03T16:00:00Z") => all(["1.25", "0.125", "10"]),
        "gpt-5" if hour < instant("2026-05-10T03:30:00Z") => all(["1", "0.1", "9.5"]),
        "gpt-5" if hour < instant("2026-09-01T21:00:00Z") => all(["0.003625", "0", "7"]),
        "gemini-3" if is_long => all(["4", "0.4", "18"]),
        // Since the last change.
        "gpt-5" | "gemini-3" => all(["2", "0.2", "12"]),
        "deepseek-v9" if hour >= instant("2026-01-01T00:00:00Z") => {
            let is_day_off = matches!(hour.weekday(), Weekday::Sat | Weekday::Sun)
                || HOLIDAYS.contains(&hour.format("%m-%d").to_string().as_str());
            let is_peak = matches!(hour.hour(), 1..4 | 6..10) && !is_day_off;
            all(if is_peak { ["3", "0.3", "6"] } else { ["1", "0.1", "2"] })
        }
        "grok-9" if hour >= instant("2026-06-01T00:00:00Z") => [Some("5"), None, None],
        _ => [None; 3],
    }
}

/// What tokens cost, and how many have a price.
#[derive(Clone, Debug, Default, PartialEq)]
struct Expected {
    low: Digits,
    high: Digits,
    real: Digits,
    priced: u64,
    unpriced: u64,
}

impl Expected {
    fn add(&mut self, hour: DateTime<Utc>, model: &str, requests: &[Request]) {
        let sum = |class: usize| requests.iter().map(|request| request[class]).sum::<u64>();
        let prompts = sum(0) + sum(1);
        let [low, high] = match (prompts <= 1000, requests.len()) {
            (true, _) => [false; 2],
            (false, 1) => [true; 2],
            (false, _) => [false, true],
        };
        for class in 0..3 {
            let price = |is_long| prices(model, hour, is_long)[class].map(Digits::per_token);
            let Some((low, high)) = price(low).zip(price(high)) else {
                self.unpriced += sum(class);
                continue;
            };
            self.priced += sum(class);
            self.low = self.low.plus(&low.times(sum(class)));
            self.high = self.high.plus(&high.times(sum(class)));
            for request in requests {
                let real = price(request[0] + request[1] > 1000).unwrap();
                self.real = self.real.plus(&real.times(request[class]));
            }
        }
    }

    fn of(cost: &Value) -> (Digits, Digits, u64, u64) {
        let amount = |name: &str| cost[name].as_str().map_or_else(Digits::default, Digits::parse);
        let tokens = |name: &str| cost[name].as_u64().unwrap();
        assert_eq!(cost["complete"], tokens("unpriced_tokens") == 0, "{cost}");
        let is_nothing = tokens("priced_tokens") == 0 && tokens("unpriced_tokens") > 0;
        assert_eq!(cost["amount"].is_null(), is_nothing, "{cost}");
        (amount("amount"), amount("amount_high"), tokens("priced_tokens"), tokens("unpriced_tokens"))
    }
}

/// What a year's buckets hold: the hour, the model and the requests of each.
pub fn year() -> Vec<(DateTime<Utc>, &'static str, Vec<Request>)> {
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = move |most: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % most
    };
    let mut hour = instant("2025-12-01T00:00:00Z");
    let mut buckets = Vec::new();
    while hour < instant("2026-11-20T00:00:00Z") {
        for model in MODELS {
            if next(3) > 0 {
                let requests = (0..=next(3)).map(|_| [next(700), next(700), next(900)]).collect();
                buckets.push((hour, model, requests));
            }
        }
        hour += TimeDelta::minutes(30 * i64::try_from(1 + next(40)).unwrap());
    }
    buckets
}

pub async fn post_all(app: &TestApp, device: &TestDevice, buckets: &[(DateTime<Utc>, &str, Vec<Request>)]) {
    for chunk in buckets.chunks(500) {
        let bucket = |(hour, model, requests): &(DateTime<Utc>, &str, Vec<Request>)| {
            let sum = |class: usize| requests.iter().map(|request| request[class]).sum::<u64>();
            json!({"hour_start": hour, "source": "codex", "model": model, "input_tokens": sum(0),
                "cache_read_tokens": sum(1), "output_tokens": sum(2), "reasoning_tokens": sum(2) / 2,
                "request_count": requests.len()})
        };
        let body = json!({"buckets": chunk.iter().map(bucket).collect::<Vec<_>>()});
        app.post_buckets(&device.token, &body).await.expect_ok();
    }
}

/// The costs of all results on all pages, in their order.
async fn costs(app: &TestApp, user: &TestUser, query: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = read(app, user, &format!("/v1/rollups?{query}{cursor}")).await;
        for interval in page["data"].as_array().unwrap() {
            found.extend(interval["results"].as_array().unwrap().iter().map(|result| result["cost"].clone()));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

fn sum(costs: &[Value]) -> (Digits, Digits, u64, u64) {
    costs.iter().map(Expected::of).fold(Default::default(), |sum, cost| {
        (sum.0.plus(&cost.0), sum.1.plus(&cost.1), sum.2 + cost.2, sum.3 + cost.3)
    })
}

#[tokio::test]
async fn days_months_groups_and_pages_add_up_to_the_total_to_the_last_digit_in_six_zones() {
    let app = TestApp::start().await;
    let buckets = year();
    let mut expected = Expected::default();
    for (hour, model, requests) in &buckets {
        expected.add(*hour, model, requests);
    }
    assert!(expected.low < expected.real && expected.real < expected.high, "the true cost lies between: {expected:?}");
    let whole = (expected.low, expected.high, expected.priced, expected.unpriced);
    let (operator, _) = me(&app, "UTC").await;
    put_in_force(&app, &operator, &file(&LINES)).await;
    for zone in ZONES {
        let user = app.user(zone, zone).await;
        let device = app.device(&user, "laptop").await;
        post_all(&app, &device, &buckets).await;
        app.drain().await;
        let range = "from=2025-11-29&to=2026-11-21";
        let totals = read(&app, &user, &format!("/v1/rollups?{range}")).await["totals"]["cost"].clone();
        assert_eq!(Expected::of(&totals), whole, "{zone}");
        for query in
            ["", "&width=month", "&width=week", "&group_by=model", "&width=month&group_by=model,source&limit=3"]
        {
            let costs = costs(&app, &user, &format!("{range}{query}")).await;
            assert!(costs.len() > 10, "{zone} {query}");
            assert_eq!(sum(&costs), whole, "{zone} {query}");
        }
        let summary = read(&app, &user, &format!("/v1/rollups/summary?{range}")).await;
        assert_eq!(Expected::of(&summary["totals"]["cost"]), whole, "{zone}");
        let models: Vec<_> =
            summary["by_model"].as_array().unwrap().iter().map(|row| row["totals"]["cost"].clone()).collect();
        assert_eq!(sum(&models), whole, "{zone}");
        // Days around a change of prices, from the rollup and from buckets of other zones.
        let days = "from=2026-01-20&to=2026-02-15";
        let by_day = sum(&costs(&app, &user, days).await);
        for query in ["width=half_hour", "width=hour&group_by=model", "width=half_hour&limit=7"] {
            assert_eq!(sum(&costs(&app, &user, &format!("{days}&{query}")).await), by_day, "{zone} {query}");
        }
    }
}

#[tokio::test]
async fn a_receipt_multiplies_out_to_its_totals_and_says_why_what_has_no_price() {
    let app = TestApp::start().await;
    let (me, device) = me(&app, "Europe/Berlin").await;
    put_in_force(&app, &me, &file(&LINES)).await;
    let buckets = year();
    post_all(&app, &device, &buckets).await;
    post(&app, &device, "2026-11-19T10:00:00Z", "gpt-5", json!({"unclassified_tokens": 77})).await;
    app.drain().await;
    let range = "from=2025-11-29&to=2026-11-21";
    let receipt = read(&app, &me, &format!("/v1/rollups/cost?{range}")).await;
    let (mut low, mut high, mut priced) = (Digits::default(), Digits::default(), 0);
    let mut without: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in receipt["lines"].as_array().unwrap() {
        let (tokens, text) = (line["tokens"].as_u64().unwrap(), |name: &str| line[name].as_str());
        assert!(tokens > 0);
        if let Some(reason) = text("reason") {
            assert!(line["amount"].is_null() && line["per_mtok"].is_null(), "{line}");
            *without.entry((text("model").unwrap().to_owned(), reason.to_owned())).or_default() += tokens;
            continue;
        }
        let product = |price: &str, amount: &str| {
            let product = Digits::per_token(text(price).unwrap()).times(tokens);
            assert_eq!(product, Digits::parse(text(amount).unwrap()), "{line}");
            product
        };
        low = low.plus(&product("per_mtok", "amount"));
        high = high.plus(&product("per_mtok_high", "amount_high"));
        priced += tokens;
        assert_eq!((text("rule"), text("evidence")), (Some("exact"), Some("page")));
    }
    let cost = &receipt["totals"]["cost"];
    assert_eq!(Expected::of(cost), (low, high, priced, without.values().sum()));
    let reasons: Vec<_> = without.keys().map(|(model, reason)| (model.as_str(), reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            ("deepseek-v9", "no_price_then"),
            ("gpt-5", "unclassified"),
            ("grok-9", "no_class_price"),
            ("grok-9", "no_price_then"),
            ("nobody-knows-me", "unknown_model")
        ]
    );
    let summary = read(&app, &me, &format!("/v1/rollups/summary?{range}")).await;
    let listed: BTreeMap<_, _> = summary["unpriced"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            ((text("model"), text("reason")), row["tokens"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(listed, without);
    assert_eq!(summary["totals"]["cost"], *cost);
    let changed = receipt["lines"].as_array().unwrap().iter().filter(|line| line["model"] == "gpt-5");
    let spans: std::collections::BTreeSet<_> =
        changed.map(|line| format!("{} {}", line["valid_from"], line["valid_to"])).collect();
    assert_eq!(spans.len(), 4, "{spans:?}");
    assert_csv_says(&app, &me, range, cost).await;
}

/// The columns at the end of a table add up to this cost.
async fn assert_csv_says(app: &TestApp, me: &TestUser, range: &str, cost: &Value) {
    let csv = app.request(reqwest::Method::GET, &format!("/v1/rollups?{range}&width=month&group_by=model"));
    let csv = csv.bearer(&me.viewer).header("accept", "text/csv").send().await;
    let mut reader = csv::Reader::from_reader(csv.body.as_slice());
    let names: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(names[names.len() - 3..], ["cost_usd", "cost_high_usd", "unpriced_tokens"]);
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let column = |back: usize| rows.iter().map(move |row| row[row.len() - back].to_owned());
    let amounts: Vec<_> = column(3).filter(|cell| !cell.is_empty()).map(|cell| Digits::parse(&cell)).collect();
    assert_eq!(Digits::sum(&amounts), Digits::parse(cost["amount"].as_str().unwrap()));
    assert!(column(3).any(|cell| cell.is_empty()), "what has no price has no amount");
    assert_eq!(
        column(1).map(|cell| cell.parse::<u64>().unwrap()).sum::<u64>(),
        cost["unpriced_tokens"].as_u64().unwrap()
    );
}

#[tokio::test]
async fn what_has_no_price_is_null_what_is_free_is_zero_and_without_a_book_there_is_no_cost() {
    let app = TestApp::start().await;
    let (me, device) = me(&app, "UTC").await;
    let hour = "2026-11-20T10:00:00Z";
    post(&app, &device, hour, "glm-5.2", json!({"input_tokens": 16_000_000})).await;
    app.drain().await;
    let reply = read(&app, &me, "/v1/rollups").await;
    assert_eq!((reply.get("prices"), reply["totals"].get("cost")), (None, None));
    assert!(reply["data"][0]["results"][0].get("cost").is_none());
    let free = file(&["openai,gpt-5,0,0,0,,,,,,,,page,,", "openai,gpt-6,0,,1,,,,,,,,page,,"]);
    put_in_force(&app, &me, &free).await;
    let cost =
        async |model: &str| read(&app, &me, &format!("/v1/rollups?model={model}")).await["totals"]["cost"].clone();
    let unknown = json!({"amount": null, "amount_high": null, "priced_tokens": 0, "unpriced_tokens": 16_000_000, "complete": false});
    assert_eq!(cost("glm-5.2").await, unknown);
    let nothing =
        json!({"amount": "0", "amount_high": "0", "priced_tokens": 0, "unpriced_tokens": 0, "complete": true});
    assert_eq!(cost("gpt-5").await, nothing, "no tokens cost nothing");
    for model in ["gpt-5", "gpt-6"] {
        post(&app, &device, hour, model, json!({"input_tokens": 10, "output_tokens": 5, "reasoning_tokens": 5})).await;
    }
    app.drain().await;
    assert_eq!(cost("gpt-5").await["amount"], "0");
    assert_eq!(cost("gpt-5").await["complete"], true);
    assert_eq!(cost("gpt-6").await["amount"], "0.000005", "reasoning is part of the output and not added to it");
    let both = read(&app, &me, "/v1/rollups").await;
    assert_eq!(both["prices"], json!({"currency": "USD", "basis": "api_list", "book": 1, "pending_book": null}));
    assert_eq!(both["totals"]["cost"]["complete"], false);
}
