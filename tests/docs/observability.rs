//! The dashboard and the alerts in `docs/observability/`: they ask for nothing that the server does not export, every
//! metric has a panel, and every alert has its test and its paragraph.

use std::collections::{BTreeMap, BTreeSet};

use halfhour::features::operations::{METRICS, Metric};
use serde_json::Value;

use super::{NONE, anchors, differences, files, joined, quoted, routes, rows, section, text};

const DASHBOARD: &str = "docs/observability/dashboard.json";
const ALERTS: &str = "docs/observability/alerts.yml";
const ALERT_TESTS: &str = "docs/observability/alerts_test.yml";
const OPERATIONS: &str = "docs/operations.md";

/// What Prometheus itself puts on every series, or on those of histograms.
const OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];

/// What a histogram's series are called behind its name.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// A question to Prometheus for one of our metrics: its name, and the labels that it is asked by.
#[derive(Debug, PartialEq, Eq)]
struct Selector {
    name: String,
    /// Label, operator and value.
    matchers: Vec<(String, String, String)>,
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// Every `halfhour_…` of an expression, with what stands in braces behind it.
fn selectors(expression: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find("halfhour_") {
        let begun_before = rest[..start].ends_with(is_word);
        rest = &rest[start..];
        let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let inside = rest.strip_prefix('{').and_then(|inside| inside.split_once('}')).map_or("", |(inside, _)| inside);
        if !begun_before {
            found.push(Selector { name, matchers: matchers(inside) });
        }
    }
    found
}

/// `a="b",c=~"d"`. A route has no comma, but a value is read to its closing quote all the same.
fn matchers(inside: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut rest = inside;
    while let Some((front, behind)) = rest.split_once('"') {
        let (value, behind) = behind.split_once('"').unwrap_or((behind, ""));
        let front = front.trim_start_matches([',', ' ']);
        let name = front.trim_end_matches(['=', '!', '~']);
        found.push((name.to_owned(), front[name.len()..].to_owned(), value.to_owned()));
        rest = behind;
    }
    found
}

/// The labels of `by (a, b)`, `on (a)` and the like.
fn grouping(expression: &str) -> BTreeSet<String> {
    let words = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    let mut found = BTreeSet::new();
    for (at, _) in expression.match_indices('(') {
        let front = expression[..at].trim_end();
        let word = front.rsplit(|letter| !is_word(letter)).next().unwrap_or_default();
        if words.contains(&word) {
            let inside = expression[at + 1..].split(')').next().unwrap_or_default();
            found.extend(inside.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    found
}

fn metric<'a>(name: &str, known: &'a [Metric]) -> Option<&'a Metric> {
    let exact = known.iter().find(|metric| metric.name == name && metric.kind != "histogram");
    let of_histogram = || {
        let base = OF_HISTOGRAMS.iter().find_map(|suffix| name.strip_suffix(suffix))?;
        known.iter().find(|metric| metric.name == base && metric.kind == "histogram")
    };
    exact.or_else(of_histogram)
}

/// What an expression asks for and the server does not export. `is_value` knows the values that labels may have.
fn unanswerable(expression: &str, known: &[Metric], is_value: impl Fn(&str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut labels: BTreeSet<&str> = OF_PROMETHEUS.into();
    for Selector { name, matchers } in selectors(expression) {
        let Some(metric) = metric(&name, known) else {
            wrong.push(format!("{name} is not exported"));
            continue;
        };
        labels.extend(metric.labels);
        for (label, operator, value) in matchers {
            if OF_PROMETHEUS.contains(&label.as_str()) {
                continue;
            }
            if !metric.labels.contains(&label.as_str()) {
                wrong.push(format!("{name} has no label {label}"));
            } else if !operator.contains('~') && !is_value(&value) {
                wrong.push(format!("{name} has no {label} {value:?}"));
            }
        }
        let is_counter = metric.kind == "counter" || metric.kind == "histogram";
        let is_rate = expression.contains("rate(") || expression.contains("increase(");
        if is_counter && !is_rate {
            wrong.push(format!("{name} only ever rises: ask for its rate"));
        }
    }
    let unknown = grouping(expression).into_iter().filter(|label| !labels.contains(label.as_str()));
    wrong.extend(unknown.map(|label| format!("nothing here has the label {label}")));
    wrong
}

/// What stands in quotes somewhere in the code, and the routes as metrics name them.
fn values_of_labels() -> impl Fn(&str) -> bool {
    let rust = joined(&files("src", "rs"));
    let routes = routes(&rust);
    move |value| routes.contains(value) || rust.contains(&format!("\"{value}\""))
}

/// Title and expression of every question of a dashboard.
fn questions(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap_or_default();
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (title.to_owned(), target["expr"].as_str().unwrap_or_default().to_owned()))
    });
    targets.collect()
}

/// The rules of a file as alert and body; the gate has promtool read them as YAML.
fn alerts(yaml: &str) -> BTreeMap<String, String> {
    let parts = yaml.split("- alert: ").skip(1);
    parts.filter_map(|part| part.split_once('\n')).map(|(name, body)| (name.to_owned(), body.to_owned())).collect()
}

/// What stands behind `expr:`, up to the next key, on one line.
fn expression(body: &str) -> String {
    let lines = body.lines().skip_while(|line| !line.trim_start().starts_with("expr:"));
    let is_key = |line: &str| ["for:", "labels:", "annotations:"].iter().any(|key| line.trim_start().starts_with(key));
    let lines = lines.take_while(|line| !is_key(line)).map(|line| line.trim().trim_start_matches("expr:"));
    lines.collect::<Vec<_>>().join(" ").replace(">-", "").trim().to_owned()
}

/// The alerts that a file of tests sees firing.
fn seen_firing(tests: &str) -> BTreeSet<String> {
    let cases = tests.split("alertname: ").skip(1).filter(|case| case.contains("exp_labels"));
    let firing = cases.filter(|case| case.find("exp_labels") < case.find("exp_alerts: []").or(Some(usize::MAX)));
    firing.filter_map(|case| case.split(['\n', ',']).next()).map(str::to_owned).collect()
}

/// What is wrong with the paragraphs of alerts.
fn paragraph_faults(alerts: &BTreeMap<String, String>, operations: &str) -> Vec<String> {
    let alerts_section = section(operations, "## Alerts");
    let documented = alerts_section.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    let mut faults = differences(&alerts.keys().cloned().collect(), &documented);
    let anchors = anchors(operations);
    for (name, body) in alerts {
        let runbook = body.split_once("runbook: docs/operations.md#").and_then(|(_, rest)| rest.lines().next());
        if !runbook.is_some_and(|anchor| anchor == name.to_lowercase() && anchors.contains(anchor)) {
            faults.push(format!("{name} does not lead to its paragraph"));
        }
        let Some((_, rest)) = operations.split_once(&format!("\n### {name}\n")) else { continue };
        let paragraph = rest.split("\n#").next().unwrap_or_default();
        for word in ["**Means:**", "**Check:**", "**Way out:**"] {
            if paragraph.matches(word).count() != 1 {
                faults.push(format!("{name} does not say its {word}"));
            }
        }
    }
    faults
}

#[test]
fn the_dashboard_asks_only_for_what_is_exported_and_shows_every_metric() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let is_value = values_of_labels();
    let questions = questions(&dashboard);
    assert!(questions.len() > 20, "only {questions:?}");
    let mut shown = BTreeSet::new();
    for (title, expression) in &questions {
        assert_eq!(unanswerable(expression, &METRICS, &is_value), NONE, "in {title:?}: {expression}");
        let asked = selectors(expression);
        shown.extend(asked.iter().filter_map(|asked| Some(metric(&asked.name, &METRICS)?.name.to_owned())));
    }
    let known: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(differences(&known, &shown), NONE);
    let ids: BTreeSet<_> = dashboard["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len(), "two panels have the same id");
}

#[test]
fn every_alert_asks_only_for_what_is_exported_and_has_a_test_and_a_paragraph() {
    let alerts = alerts(&text(ALERTS));
    assert!(alerts.len() > 12, "only {alerts:?}");
    let is_value = values_of_labels();
    for (name, body) in &alerts {
        let expression = expression(body);
        assert!(!expression.is_empty(), "{name}");
        assert_eq!(unanswerable(&expression, &METRICS, &is_value), NONE, "in {name}: {expression}");
    }
    assert_eq!(differences(&alerts.keys().cloned().collect(), &seen_firing(&text(ALERT_TESTS))), NONE);
    assert_eq!(paragraph_faults(&alerts, &text(OPERATIONS)), NONE);
}

#[test]
fn the_kind_and_the_labels_of_every_metric_are_documented() {
    let operations = text(OPERATIONS);
    let documented = rows(section(&operations, "## Metrics")).into_iter().filter(|cells| cells.len() == 4);
    let documented: BTreeSet<String> = documented
        .flat_map(|cells| {
            let labels = cells[2].split('(').next().unwrap_or_default().trim();
            quoted(cells[0]).map(|name| format!("{name} {} {labels}", cells[1])).collect::<Vec<_>>()
        })
        .collect();
    let code = METRICS.iter().map(|metric| {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("{} {} {}", metric.name, metric.kind, labels.join(", "))
    });
    assert_eq!(differences(&code.collect(), &documented), NONE);
}

#[test]
fn a_question_that_nobody_can_answer_is_caught() {
    let known = [
        Metric { name: "halfhour_a_total", kind: "counter", labels: &["outcome"], help: "" },
        Metric { name: "halfhour_b", kind: "gauge", labels: &[], help: "" },
        Metric { name: "halfhour_c_seconds", kind: "histogram", labels: &["route"], help: "" },
    ];
    let is_value = |value: &str| ["done", "POST /v1/x"].contains(&value);
    for (expression, expected) in [
        ("sum by (outcome) (rate(halfhour_a_total{outcome=\"done\",instance=~\"$x\"}[5m])) / halfhour_b", None),
        (
            "histogram_quantile(0.9, sum by (le, route) (rate(halfhour_c_seconds_bucket{route=\"POST /v1/x\"}[5m])))",
            None,
        ),
        ("halfhour_d > 0", Some("halfhour_d is not exported")),
        ("halfhour_c_seconds > 0", Some("halfhour_c_seconds is not exported")),
        ("halfhour_b_total", Some("halfhour_b_total is not exported")),
        ("rate(halfhour_a_total{code=\"done\"}[5m])", Some("halfhour_a_total has no label code")),
        ("rate(halfhour_a_total{outcome!=\"gone\"}[5m])", Some("halfhour_a_total has no outcome \"gone\"")),
        ("halfhour_a_total > 5", Some("halfhour_a_total only ever rises: ask for its rate")),
        ("max by (lane) (halfhour_b)", Some("nothing here has the label lane")),
    ] {
        assert_eq!(unanswerable(expression, &known, is_value), Vec::from_iter(expected), "{expression}");
    }
}

#[test]
fn an_alert_without_a_test_or_a_paragraph_is_caught() {
    let yaml = "rules:\n  - alert: A\n    expr: >-\n      x\n      > 0\n    for: 1m\n    annotations:\n      runbook: docs/operations.md#a\n\
        \n  - alert: B\n    expr: y\n    annotations:\n      runbook: docs/operations.md#a\n";
    let alerts = alerts(yaml);
    assert_eq!([&alerts["A"], &alerts["B"]].map(|body| expression(body)), ["x > 0", "y"]);
    let tests = "- {eval_time: 1m, alertname: B, exp_alerts: []}\n- eval_time: 1m\n  alertname: A\n  exp_alerts:\n - exp_labels: {}";
    assert_eq!(seen_firing(tests), ["A".to_owned()].into());
    let operations = "\n## Alerts\n\n### A\n\n**Means:** x. **Check:** y.\n\n### C\n\n## Next\n";
    assert_eq!(
        paragraph_faults(&alerts, operations),
        [
            "B is not documented",
            "C is not in the code",
            "A does not say its **Way out:**",
            "B does not lead to its paragraph"
        ]
    );
}
