//! What one reading of the tools found, and who may be posted by it.

use std::borrow::Cow;

use crate::kernel::bucket::Source;
use crate::kernel::problem::Violation;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A tool that may report usage.
    Allowed,
    /// A tool that might once, and has history.
    Retired,
    /// Another name of this tool.
    AliasOf(Source),
}

/// A tool that may report usage. Only [`KnownSources`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedSource(Source);

/// A name that is not taken here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlisted {
    /// A stable word for the rule that was broken: `unknown_source` or `retired_source`.
    pub code: &'static str,
    /// What to do about it, in a sentence.
    pub detail: Cow<'static, str>,
}

impl Unlisted {
    /// The violation, at the pointer that the protocol has for the field.
    pub fn at(self, pointer: impl Into<String>) -> Violation {
        Violation::new(pointer, self.code, self.detail)
    }
}

impl AllowedSource {
    /// The tool itself.
    pub const fn source(self) -> Source {
        self.0
    }
}

/// All names, in byte order. A look-up compares a handful of them and allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownSources(Box<[(Source, Standing)]>);

impl FromIterator<(Source, Standing)> for KnownSources {
    fn from_iter<I: IntoIterator<Item = (Source, Standing)>>(names: I) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        Self(names.into())
    }
}

impl KnownSources {
    /// These names, all allowed. What is no name is left out.
    pub fn allowing(names: &[&str]) -> Self {
        names.iter().filter_map(|name| Some((Source::parse(name)?, Standing::Allowed))).collect()
    }

    /// The tool, if it may report usage. Errors: `unknown_source`, also for another tool's other
    /// name; `retired_source`.
    pub fn allowed(&self, name: &str) -> Result<AllowedSource, Unlisted> {
        match self.find(name) {
            Some((source, Standing::Allowed)) => Ok(AllowedSource(source)),
            Some((source, Standing::Retired)) => Err(retired(source)),
            other => Err(unknown(name, other)),
        }
    }

    /// The tool by any of its names, if it may report usage. Errors: `unknown_source`, `retired_source`.
    pub fn called(&self, name: &str) -> Result<AllowedSource, Unlisted> {
        match self.find(name) {
            Some((_, Standing::AliasOf(canonical))) => self.allowed(canonical.as_str()),
            _ => self.allowed(name),
        }
    }

    /// The tool, retired or not. Errors: `unknown_source`, also for another tool's other name.
    pub fn known(&self, name: &str) -> Result<Source, Unlisted> {
        match self.find(name) {
            Some((source, Standing::Allowed | Standing::Retired)) => Ok(source),
            other => Err(unknown(name, other)),
        }
    }

    /// The tool whose other name this is.
    pub fn canonical(&self, name: Source) -> Option<Source> {
        match self.find(name.as_str()) {
            Some((_, Standing::AliasOf(canonical))) => Some(canonical),
            _ => None,
        }
    }

    fn find(&self, name: &str) -> Option<(Source, Standing)> {
        let place = self.0.binary_search_by(|(listed, _)| listed.as_str().cmp(name)).ok()?;
        self.0.get(place).copied()
    }
}

fn unknown(name: &str, found: Option<(Source, Standing)>) -> Unlisted {
    let detail = match (found, Source::parse(name)) {
        (Some((alias, Standing::AliasOf(canonical))), _) => {
            let [alias, canonical] = [&alias, &canonical].map(Source::as_str);
            format!("`{alias}` is another name of `{canonical}`; send `{canonical}`.").into()
        }
        (_, Some(name)) => {
            let name = name.as_str();
            format!(
                "`{name}` is no tool that this server takes; GET /v1/sources lists those that it does. An operator \
                 allows it with POST /v1/sources or `halfhour source add {name}`."
            )
            .into()
        }
        (_, None) => Cow::Borrowed(Source::FORM),
    };
    Unlisted { code: "unknown_source", detail }
}

fn retired(source: Source) -> Unlisted {
    let name = source.as_str();
    let detail = format!(
        "`{name}` is retired and takes no new usage. An operator allows it again with POST /v1/sources or `halfhour \
         source add {name}`."
    );
    Unlisted { code: "retired_source", detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(name: &str) -> Source {
        Source::parse(name).unwrap()
    }

    fn known() -> KnownSources {
        let names = [
            (source("windsurf"), Standing::Retired),
            (source("claude"), Standing::AliasOf(source("claude-code"))),
            (source("codex"), Standing::Allowed),
            (source("claude-code"), Standing::Allowed),
        ];
        names.into_iter().collect()
    }

    #[test]
    fn posts_take_allowed_tools_and_imports_retired_ones_as_well() {
        for name in ["claude-code", "codex"] {
            assert_eq!(known().allowed(name).unwrap().source(), source(name));
            assert_eq!(known().known(name), Ok(source(name)));
        }
        assert_eq!(known().called("claude").unwrap().source(), source("claude-code"));
        assert_eq!(known().called("codex").unwrap().source(), source("codex"));
        assert_eq!(known().called("windsurf").unwrap_err().code, "retired_source");
        assert_eq!(known().called("grok").unwrap_err().code, "unknown_source");
        assert_eq!(known().allowed("windsurf").unwrap_err().code, "retired_source");
        assert_eq!(known().known("windsurf"), Ok(source("windsurf")));
        for name in ["claude", "claude-cod", "claude-codes", "", "Codex", "codex ", "\0"] {
            assert_eq!(known().allowed(name).unwrap_err().code, "unknown_source", "{name:?}");
            assert_eq!(known().known(name).unwrap_err().code, "unknown_source", "{name:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do_and_repeats_only_what_is_a_name() {
        let detail = |name: &str| known().allowed(name).unwrap_err().detail.into_owned();
        assert!(detail("claude").contains("`claude` is another name of `claude-code`"), "{}", detail("claude"));
        for word in ["`grok`", "GET /v1/sources", "POST /v1/sources", "halfhour source add grok"] {
            assert!(detail("grok").contains(word), "{word}: {}", detail("grok"));
        }
        assert!(detail("windsurf").contains("halfhour source add windsurf"), "{}", detail("windsurf"));
        for name in ["hunter2!", "Codex", &"x".repeat(65)] {
            assert_eq!(detail(name), Source::FORM);
        }
        assert_eq!(known().canonical(source("claude")), Some(source("claude-code")));
        assert_eq!(known().canonical(source("codex")), None);
    }

    proptest! {
        #[test]
        fn sources_are_ordered_as_their_bytes_are(names in prop::collection::vec("[a-z0-9][a-z0-9._-]{0,63}", 0..20)) {
            let mut sources: Vec<Source> = names.iter().map(|name| source(name)).collect();
            sources.sort_unstable();
            let mut names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
            names.sort_unstable();
            prop_assert_eq!(sources.iter().map(|source| source.as_str().as_bytes()).collect::<Vec<_>>(), names);
        }

        #[test]
        fn exactly_the_listed_names_are_found(
            listed in prop::collection::btree_set("[a-c][a-c._-]{0,3}", 0..40), asked in "[a-c][a-c._-]{0,3}",
        ) {
            let names: Vec<&str> = listed.iter().map(String::as_str).collect();
            let known = KnownSources::allowing(&names);
            prop_assert!(names.iter().all(|name| known.allowed(name).unwrap().source().as_str() == *name));
            prop_assert_eq!(known.allowed(&asked).is_ok(), listed.contains(&asked));
        }
    }
}
