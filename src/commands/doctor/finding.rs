//! What a check found, what it means, and what to do about it.

use std::fmt;

use serde::{Serialize, Serializer};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingState {
    /// Nothing to do.
    Ok,
    /// Nothing is broken yet, or something is broken that halfhour puts right by itself.
    Warning,
    /// A promise is broken, or the server does not work.
    Failure,
    /// It could not be looked at; another finding says why.
    NotChecked,
}

impl FindingState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Warning, Self::Failure, Self::NotChecked];

    /// As reports spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
            Self::NotChecked => "not_checked",
        }
    }
}

impl Serialize for FindingState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The check's name, which does not change.
    pub check: &'static str,
    /// How grave it is.
    pub state: FindingState,
    /// What was seen.
    pub found: String,
    /// What follows from it; null where all is well.
    pub means: Option<String>,
    /// What to do; null where there is nothing to do.
    #[serde(rename = "do")]
    pub advice: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: FindingState::Ok, found: found.into(), means: None, advice: None }
    }

    /// It could not be looked at.
    pub fn not_checked(check: &'static str, found: impl Into<String>) -> Self {
        Self { state: FindingState::NotChecked, ..Self::ok(check, found) }
    }

    /// Something should be looked at.
    pub fn warning(check: &'static str, found: impl Into<String>, means: &str, advice: &str) -> Self {
        let (means, advice) = (Some(means.to_owned()), Some(advice.to_owned()));
        Self { state: FindingState::Warning, means, advice, ..Self::ok(check, found) }
    }

    /// Something is broken.
    pub fn failure(check: &'static str, found: impl Into<String>, means: &str, advice: &str) -> Self {
        Self { state: FindingState::Failure, ..Self::warning(check, found, means, advice) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, state, found, means, advice } = self;
        write!(formatter, "{:11}  {check:11}  {found}", state.as_str())?;
        for (word, text) in [("means", means), ("do", advice)] {
            if let Some(text) = text {
                write!(formatter, "\n{:26}{word}: {text}", "")?;
            }
        }
        Ok(())
    }
}
