//! What a bench is asked for on its command line.

use std::path::PathBuf;

use anyhow::Context as _;

/// `--seconds N`, `--quick`, `--only LETTER` and `--beside PROGRAM`.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// How long each run lasts, at least 1 s.
    pub seconds: Option<u64>,
    /// Whether all of it is to be small.
    pub quick: bool,
    /// Another build of the server, to compare this one with.
    pub beside: Option<PathBuf>,
    only: Option<char>,
}

impl Arguments {
    pub fn read() -> anyhow::Result<Self> {
        let mut read = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => {
                    let seconds: u64 = arguments.next().context("--seconds needs a number")?.parse()?;
                    read.seconds = Some(seconds.max(1));
                }
                "--only" => {
                    let letter = arguments.next().and_then(|letter| letter.chars().next());
                    read.only = Some(letter.context("--only needs a letter")?);
                }
                "--beside" => {
                    read.beside = Some(arguments.next().context("--beside needs a program")?.into());
                }
                "--quick" => read.quick = true,
                // Cargo's own.
                "--bench" => {}
                other => anyhow::bail!(
                    "{other} is not known; there are --seconds N, --only LETTER, --quick and --beside PROGRAM"
                ),
            }
        }
        Ok(read)
    }

    /// Whether any of the measures of these letters is to be taken.
    pub fn wants(&self, letters: &str) -> bool {
        self.only.is_none_or(|only| letters.contains(only))
    }
}
