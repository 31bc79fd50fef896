//! What is said of a demo that is there: its own sums, whether the server has the same, and how to read them.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::habits::DEVICES;
use super::person::{USER, ZONE};
use super::server::{Reply, RunningServer, refused};
use super::year::{Sums, Year};
use crate::commands::output::{Output, table};
use crate::features::accounts::Demo;

/// By when the server has folded what was sent, even where it has much else to do.
const FOLD_PATIENCE: Duration = Duration::from_mins(2);
const INTERVAL: Duration = Duration::from_millis(250);
/// What the table shows of the sums, beside the tool.
const COLUMNS: [&str; 8] = [
    "bucket_count",
    "request_count",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "unclassified_tokens",
    "total_tokens",
];

/// Says it. Errors: the server has other sums.
pub(super) async fn tell(
    server: &RunningServer,
    demo: &Demo,
    year: &Year,
    changed: u64,
    output: &Output,
) -> anyhow::Result<()> {
    let token = demo.viewer_token.reveal();
    let path = path(demo, year);
    let reply = folded(server, token, &path).await?;
    let (totals, by_source) = (year.totals(), year.by_source());
    let tools: Map<String, Value> =
        by_source.iter().map(|(source, sums)| ((*source).to_owned(), sums.json().into())).collect();
    let differences = differences(&reply.json, &totals, &tools);
    let is_same_zone = reply.json["time_zone"] == ZONE.name();
    let json = json!({
        "url": server.url(),
        "user_id": demo.user_id,
        "user": USER,
        "viewer_token": token,
        "devices": demo.devices.iter().map(|device| device.device_id).collect::<Vec<_>>(),
        "from": year.from,
        "to": year.to,
        "time_zone": ZONE.name(),
        "changed": changed,
        "totals": totals.json(),
        "by_source": tools,
        "summary": path,
        "agrees": differences.is_empty(),
    });
    output.write(&json, words(server, demo, year, changed))?;
    anyhow::ensure!(
        is_same_zone || differences.is_empty(),
        "the user {USER} has the time zone {} by now, and the sums are of days in {}: set it back (`halfhour user zone \
         {USER} {}`) to compare them",
        reply.json["time_zone"],
        ZONE.name(),
        ZONE.name()
    );
    anyhow::ensure!(
        differences.is_empty(),
        "the server has other sums ({}): some usage of the demo was erased or replaced; `halfhour demo --clear`, and then \
         `halfhour demo` again, makes it whole",
        differences.join("; ")
    );
    Ok(())
}

/// Where the server says what it has of the same days and devices.
fn path(demo: &Demo, year: &Year) -> String {
    let devices: Vec<_> = demo.devices.iter().map(|device| format!("&device={}", device.device_id)).collect();
    format!("/v1/rollups/summary?from={}&to={}{}", year.from, year.to, devices.concat())
}

/// The summary, once everything that was sent is in it.
async fn folded(server: &RunningServer, token: &str, path: &str) -> anyhow::Result<Reply> {
    let until = Instant::now() + FOLD_PATIENCE;
    loop {
        let reply = server.get(token, path, |_| {}).await?;
        match (reply.status, reply.json["pending"].as_bool()) {
            (200, Some(false)) => return Ok(reply),
            (200, _) => anyhow::ensure!(
                Instant::now() < until,
                "everything was sent, and the server has not folded it within {} min: look what `halfhour doctor` says, \
                 and say `halfhour demo` again",
                FOLD_PATIENCE.as_secs() / 60
            ),
            _ => return Err(refused(server.url(), &reply)),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Where the server's summary is not what was sent, in words.
fn differences(summary: &Value, totals: &Sums, tools: &Map<String, Value>) -> Vec<String> {
    let of_tool = |source: &str| {
        let listed = summary["by_source"].as_array()?;
        listed.iter().find(|listed| listed["source"] == source).map(|listed| &listed["totals"])
    };
    let whole = [("all tools", totals.json(), Some(&summary["totals"]))];
    let each = tools
        .iter()
        .map(|(source, sums)| (source.as_str(), sums.as_object().cloned().unwrap_or_default(), of_tool(source)));
    let mut found = Vec::new();
    for (what, made, has) in whole.into_iter().chain(each) {
        let other = made.iter().find(|(name, sum)| has.is_none_or(|has| has[name.as_str()] != **sum));
        if let Some((name, sum)) = other {
            let has = has.map_or(&Value::Null, |has| &has[name.as_str()]);
            found.push(format!("{name} of {what} are {has} and not {sum}"));
        }
    }
    found
}

fn words(server: &RunningServer, demo: &Demo, year: &Year, changed: u64) -> String {
    let head = std::iter::once("tool").chain(COLUMNS).map(|name| name.replace('_', " ")).collect();
    let by_source = year.by_source();
    let rows = by_source.iter().map(|(source, sums)| row(source, sums));
    let table = table(head, rows.chain([row("all", &year.totals())]).collect());
    let Year { from, to, buckets } = year;
    let (url, token, path) = (server.url(), demo.viewer_token.reveal(), path(demo, year));
    let what =
        if changed == 0 { "nothing was changed".to_owned() } else { format!("{changed} of them new or changed") };
    format!(
        "A year of made-up usage is there, of a user {USER:?}: {} buckets of {} devices from {from} to {to} in {}; {what}.\n\n\
         {table}\n\n\
         See it in a browser: paste the user's token at {url}/sign-in. Or read it by hand:\n  \
         HALFHOUR_URL={url}\n  HALFHOUR_VIEWER_TOKEN={token}\n  \
         curl --header \"Authorization: Bearer $HALFHOUR_VIEWER_TOKEN\" \"$HALFHOUR_URL{path}\"\n\n\
         `halfhour demo --clear` removes it again, and nothing else.",
        buckets.len(),
        DEVICES.len(),
        ZONE.name()
    )
}

fn row(what: &str, sums: &Sums) -> Vec<String> {
    let shown = sums.json();
    let sum = |name: &str| shown.get(name).and_then(Value::as_i64).unwrap_or_default();
    let of_column = |name: &&str| match *name {
        "cache_write_tokens" => sum("cache_write_5m_tokens") + sum("cache_write_1h_tokens"),
        name => sum(name),
    };
    std::iter::once(what.to_owned()).chain(COLUMNS.iter().map(of_column).map(|sum| grouped(&sum.to_string()))).collect()
}

/// `1234567` as `1,234,567`.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (digits, shown) in [("0", "0"), ("999", "999"), ("1000", "1,000"), ("1234567", "1,234,567")] {
            assert_eq!(grouped(digits), shown);
        }
    }

    #[test]
    fn a_summary_that_differs_anywhere_is_found_out() {
        let year = Year::before("2026-11-28".parse().unwrap(), 9, ZONE, 1);
        let (totals, by_source) = (year.totals(), year.by_source());
        let tools: Map<_, _> =
            by_source.iter().map(|(source, sums)| ((*source).to_owned(), Value::from(sums.json()))).collect();
        let listed: Vec<_> = tools.iter().map(|(source, sums)| json!({ "source": source, "totals": sums })).collect();
        let summary = json!({ "totals": totals.json(), "by_source": listed });
        assert_eq!(differences(&summary, &totals, &tools), Vec::<String>::new());
        let mut other = summary.clone();
        other["totals"]["output_tokens"] = 7.into();
        assert!(differences(&other, &totals, &tools)[0].starts_with("output_tokens of all tools are 7 and not "));
        let mut other = summary.clone();
        other["by_source"][0]["totals"]["bucket_count"] = 0.into();
        assert_eq!(differences(&other, &totals, &tools).len(), 1);
        for missing in [json!({}), json!({ "totals": totals.json(), "by_source": [] })] {
            assert!(differences(&missing, &totals, &tools).len() >= tools.len());
        }
    }
}
