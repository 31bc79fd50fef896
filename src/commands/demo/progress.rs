//! How far it has come: a bar for people at a terminal, a line for every tenth where somebody reads a file.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};

/// Shown on standard error.
#[derive(Debug)]
pub(super) struct SendingProgress {
    shown: Shown,
    done: Cell<usize>,
    total: usize,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines,
    /// Where one JSON value is all that is wanted.
    Nothing,
}

impl SendingProgress {
    pub(super) fn new(total: usize, is_quiet: bool) -> Self {
        let shown = if is_quiet {
            Shown::Nothing
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total.try_into().unwrap_or(0));
            let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} buckets {eta} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            Shown::Bar(bar)
        } else {
            Shown::Lines
        };
        Self { shown, done: Cell::new(0), total }
    }

    /// So many more are there.
    pub(super) fn advance(&self, buckets: usize) {
        let before = self.done.replace(self.done.get() + buckets);
        let (done, total) = (self.done.get(), self.total);
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_position(done.try_into().unwrap_or(0));
                bar.set_message("");
            }
            Shown::Lines if tenth(done, total) > tenth(before, total) => say(&format!("{done} of {total} buckets")),
            Shown::Lines | Shown::Nothing => {}
        }
    }

    /// Why it takes time.
    pub(super) fn waits(&self, why: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.set_message(why.to_owned()),
            Shown::Lines => say(&format!("waits, because {why}")),
            Shown::Nothing => {}
        }
    }

    pub(super) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn tenth(done: usize, total: usize) -> usize {
    (done * 10).checked_div(total).unwrap_or(10)
}

fn say(words: &str) {
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "halfhour: {words}");
}
