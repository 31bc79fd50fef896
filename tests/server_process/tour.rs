//! The tour of `docs/api.md`: its commands are run against a server, and what they print has the shape that stands there.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Home;

/// So long the relay may take until a read shows what was posted.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command, and what stands below it.
struct Step {
    command: String,
    output: String,
}

/// The steps of the section "A tour": each block of `sh`, with the block of `json` below it.
fn steps(api: &str) -> Vec<Step> {
    let section = api.split("\n## A tour\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut blocks = section.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap());
    let mut steps = Vec::new();
    while let Some((language, command)) = blocks.next() {
        assert_eq!(language, "sh", "{command}");
        let (language, output) = blocks.next().unwrap_or_else(|| panic!("nothing stands below {command}"));
        assert_eq!(language, "json", "{output}");
        steps.push(Step { command: command.to_owned(), output: output.to_owned() });
    }
    steps
}

/// `{name:text,list:[number]}`, with names in order and each shape of an element once.
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "truth".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "text".to_owned(),
        Value::Array(items) => {
            let mut shapes: Vec<_> = items.iter().map(shape).collect();
            shapes.sort();
            shapes.dedup();
            format!("[{}]", shapes.join("|"))
        }
        Value::Object(members) => {
            let mut shapes: Vec<_> = members.iter().map(|(name, value)| format!("{name}:{}", shape(value))).collect();
            shapes.sort();
            format!("{{{}}}", shapes.join(","))
        }
    }
}

fn shape_of(text: &str) -> String {
    serde_json::from_str(text).map_or_else(|error| format!("no JSON: {error}: {text}"), |value| shape(&value))
}

/// What a command prints in a shell that has the credentials.
fn printed(home: &Home, command: &str) -> String {
    let script = format!("set -eu\n. data/credentials.env\n{command}");
    let output = Command::new("bash").args(["-c", &script]).current_dir(home.path()).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether the output of a step has, in the end, the shape that stands below it. Errors: what it has.
fn run(home: &Home, step: &Step) -> Result<(), String> {
    let (expected, began) = (shape_of(&step.output), Instant::now());
    loop {
        let found = shape_of(&printed(home, &step.command));
        if found == expected {
            return Ok(());
        }
        if began.elapsed() > PATIENCE || !step.command.contains("/v1/rollups") {
            return Err(format!("{}\nprints  {found}\nand not {expected}", step.command));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn every_command_of_the_tour_prints_what_stands_below_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let steps = steps(&std::fs::read_to_string(path).unwrap());
    assert!(steps.len() > 6, "only {} steps were found", steps.len());
    let home = Home::new();
    let server = home.serve().await;
    for step in &steps {
        run(&home, step).unwrap_or_else(|difference| panic!("{difference}"));
    }
    // A tour that says something else is caught.
    let me = &steps[0];
    for (was, is) in [("/v1/me", "/v1/users"), ("\"name\"", "\"nom\""), (":\"UTC\"", ":7")] {
        let wrong = Step { command: me.command.replace(was, is), output: me.output.replace(was, is) };
        assert!(run(&home, &wrong).is_err(), "{was} and {is}");
    }
    server.stop().await;
    home.assert_nothing_left();
}
