//! Runs a program to its end, within a limit.

use std::io;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often the program is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Says between two looks whether it is worth waiting on.
pub(super) type GoOn<'a> = &'a mut dyn FnMut() -> bool;

/// Runs a program, and returns what it said. Errors: it cannot be started, took longer than the limit, or `go_on` said no;
/// then it is killed.
pub(super) fn run(command: &mut Command, limit: Duration, go_on: GoOn<'_>) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let began = Instant::now();
    loop {
        if child.try_wait()?.is_some() {
            return child.wait_with_output();
        }
        let is_late = began.elapsed() >= limit;
        let reason = if is_late { io::ErrorKind::TimedOut } else { io::ErrorKind::Interrupted };
        if is_late || !go_on() {
            child.kill()?;
            child.wait()?;
            return Err(reason.into());
        }
        thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended_at_the_limit_or_when_nobody_wants_it_any_more() {
        let sleep = || {
            let mut sleep = Command::new("sleep");
            sleep.arg("60");
            sleep
        };
        let began = Instant::now();
        let late = run(&mut sleep(), Duration::from_millis(50), &mut || true).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        let unwanted = run(&mut sleep(), Duration::from_secs(50), &mut || false).unwrap_err();
        assert_eq!(unwanted.kind(), io::ErrorKind::Interrupted);
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn what_a_program_says_is_returned_and_a_missing_one_is_an_error() {
        let output = run(Command::new("echo").arg("said"), Duration::from_secs(10), &mut || true).unwrap();
        assert_eq!(output.stdout, b"said\n");
        let missing = run(&mut Command::new("/no/such/program"), Duration::from_secs(10), &mut || true);
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
