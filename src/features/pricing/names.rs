//! How tools spell the models of a book. Every spelling is made here, at import, with the rule that made it. Later a name
//! is compared byte by byte, so that a name one letter off has no price instead of another model's.

use std::collections::BTreeMap;

/// How a spelling was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// As the price list has it.
    Exact,
    /// `model@20251101` for `model-20251101`.
    Dated,
    /// `4.5` for `4-5`, or the other way round, or in small letters.
    Spelling,
    /// Behind the name of a vendor or a route: `anthropic/model`, `openrouter/anthropic/model`.
    Route,
    /// As Bedrock calls it: `anthropic.model-v1:0`, `global.anthropic.model`.
    Bedrock,
    /// A regional profile, which costs more: `us.anthropic.model`.
    Region,
    /// Behind a route that gives it away: `vendor/model:free`.
    Free,
    /// With the size of its context: `model[1m]`.
    Context,
    /// With how hard it is to think: `model (high)`.
    Effort,
    /// With how it is run or how long its prompts are: `model+fast`, `model+long`.
    Tier,
}

impl Rule {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Dated => "dated",
            Self::Spelling => "spelling",
            Self::Route => "route",
            Self::Bedrock => "bedrock",
            Self::Region => "region",
            Self::Free => "free",
            Self::Context => "context",
            Self::Effort => "effort",
            Self::Tier => "tier",
        }
    }
}

/// A maker of models.
struct House {
    provider: &'static str,
    /// How the names of its own models begin. A model that begins like another house's is resold, and only a name with the
    /// seller's prefix means it.
    families: &'static [&'static str],
    /// What routes call the house.
    vendors: &'static [&'static str],
}

const HOUSES: [House; 11] = [
    House { provider: "anthropic", families: &["claude"], vendors: &["anthropic"] },
    House { provider: "openai", families: &["gpt", "chatgpt", "codex", "o1", "o3", "o4"], vendors: &["openai"] },
    House { provider: "google", families: &["gemini"], vendors: &["google", "gemini", "vertex_ai", "models"] },
    House { provider: "xai", families: &["grok"], vendors: &["xai", "x-ai"] },
    House { provider: "deepseek", families: &["deepseek"], vendors: &["deepseek"] },
    House { provider: "alibaba", families: &["qwen", "qwq"], vendors: &["alibaba", "qwen", "dashscope"] },
    House { provider: "moonshotai", families: &["kimi"], vendors: &["moonshotai", "moonshot"] },
    House { provider: "zai", families: &["glm"], vendors: &["zai", "z-ai", "zai-org"] },
    House { provider: "minimax", families: &["minimax"], vendors: &["minimax"] },
    House { provider: "meta", families: &["muse"], vendors: &["meta"] },
    House {
        provider: "mistral",
        families: &["mistral", "codestral", "devstral", "labs-devstral"],
        vendors: &["mistral", "mistralai"],
    },
];

/// Price lists of tools, which hold only for what the tool reports: the provider, and the tool.
const LISTS_OF_TOOLS: [(&str, &str); 2] = [("cursor", "cursor"), ("github-copilot", "copilot")];

/// How hard a model may be told to think.
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// Bedrock's profiles of a region, whose prices are higher than the global ones.
const REGIONS: [&str; 6] = ["us", "eu", "apac", "au", "jp", "ca"];

/// The variant of a house that a regional profile costs.
const REGIONAL: &str = "us";

/// What is free behind a route.
pub const FREE: &str = "openrouter/free";

/// A model to be spelled.
#[derive(Clone, Debug)]
pub struct Spelled<'a> {
    /// Whose price list it is from.
    pub provider: &'a str,
    /// As the list has it.
    pub model: &'a str,
    /// Its skus besides the standard one: `fast`, `batch`, `short`, `long` and so on.
    pub variants: Vec<&'a str>,
}

/// The sku of a model that is sold so; the empty variant is the standard one.
pub fn sku(provider: &str, model: &str, variant: &str) -> String {
    if variant.is_empty() { format!("{provider}/{model}") } else { format!("{provider}/{model}+{variant}") }
}

/// Every spelling, by the source it holds for and by itself. A spelling that two models would have by equally good rules
/// belongs to neither.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<(String, String), Option<(Rule, String)>>);

/// One spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceName {
    /// The tool that it holds for; empty for all.
    pub source: String,
    /// The spelling.
    pub name: String,
    /// What it stands for.
    pub sku: String,
    /// How it was made.
    pub rule: Rule,
}

impl Names {
    /// Adds every spelling of a model.
    pub fn spell(&mut self, spelled: &Spelled<'_>) {
        let Spelled { provider, model, .. } = *spelled;
        let tool = LISTS_OF_TOOLS.iter().find(|(list, _)| *list == provider).map(|(_, tool)| *tool);
        if let Some(tool) = tool {
            for (name, rule) in spellings(model) {
                self.with_suffixes(tool, spelled, &name, rule);
            }
            if let Some(slow) = model.strip_suffix("-fast") {
                self.add(tool, format!("{slow}[fast=true]"), sku(provider, model, ""), Rule::Tier);
            }
            return;
        }
        let house = HOUSES.iter().find(|house| house.provider == provider);
        let vendors = house.map_or_else(|| vec![provider], |house| house.vendors.to_vec());
        for (name, rule) in spellings(model) {
            if is_own(provider, model) {
                self.with_suffixes("", spelled, &name, rule);
            }
            if provider == "anthropic" {
                self.on_bedrock(spelled, &name);
            }
            for vendor in &vendors {
                for route in [format!("{vendor}/{name}"), format!("openrouter/{vendor}/{name}")] {
                    self.add("", format!("{route}:free"), FREE.to_owned(), Rule::Free);
                    self.with_suffixes("", spelled, &route, Rule::Route);
                }
            }
        }
    }

    /// A spelling, and what may stand behind it.
    fn with_suffixes(&mut self, source: &str, spelled: &Spelled<'_>, name: &str, rule: Rule) {
        let standard = sku(spelled.provider, spelled.model, "");
        self.add(source, name.to_owned(), standard.clone(), rule);
        if spelled.provider == "anthropic" {
            self.add(source, format!("{name}[1m]"), standard.clone(), Rule::Context);
        }
        let efforts: &[&str] = if rule == Rule::Route { &[] } else { &EFFORTS };
        for effort in efforts {
            for name in [format!("{name} ({effort})"), format!("{name}({effort})")] {
                self.add(source, name, standard.clone(), Rule::Effort);
            }
        }
        for variant in &spelled.variants {
            let sku = sku(spelled.provider, spelled.model, variant);
            self.add(source, format!("{name}+{variant}"), sku, Rule::Tier);
        }
    }

    fn on_bedrock(&mut self, spelled: &Spelled<'_>, name: &str) {
        let standard = sku(spelled.provider, spelled.model, "");
        let regional = spelled.variants.contains(&REGIONAL).then(|| sku(spelled.provider, spelled.model, REGIONAL));
        for version in ["", "-v1", "-v1:0"] {
            let id = format!("anthropic.{name}{version}");
            self.add("", format!("global.{id}"), standard.clone(), Rule::Bedrock);
            for region in REGIONS {
                if let Some(regional) = &regional {
                    self.add("", format!("{region}.{id}"), regional.clone(), Rule::Region);
                }
            }
            self.add("", id, standard.clone(), Rule::Bedrock);
        }
    }

    fn add(&mut self, source: &str, name: String, sku: String, rule: Rule) {
        let entry = self.0.entry((source.to_owned(), name)).or_insert_with(|| Some((rule, sku.clone())));
        match entry {
            Some((before, known)) if *known != sku => {
                if rule < *before {
                    *entry = Some((rule, sku));
                } else if rule == *before {
                    *entry = None;
                }
            }
            Some((before, _)) => *before = rule.min(*before),
            // An exact name is unique, so that it also ends a quarrel about how it may be read.
            None if rule == Rule::Exact => *entry = Some((rule, sku)),
            None => {}
        }
    }

    /// All of them, in byte order.
    pub fn finish(self) -> Vec<PriceName> {
        let name =
            |((source, name), meant): (_, Option<_>)| meant.map(|(rule, sku)| PriceName { source, name, sku, rule });
        self.0.into_iter().filter_map(name).collect()
    }
}

/// Whether a bare name means this provider.
fn is_own(provider: &str, model: &str) -> bool {
    let model = model.to_ascii_lowercase();
    let owner = HOUSES.iter().find(|house| house.families.iter().any(|family| model.starts_with(family)));
    owner.is_none_or(|house| house.provider == provider)
}

/// The name itself and its other spellings.
fn spellings(model: &str) -> Vec<(String, Rule)> {
    let mut spellings = vec![(model.to_owned(), Rule::Exact)];
    let mut add = |name: String, rule| {
        if spellings.iter().all(|(known, _)| *known != name) {
            spellings.push((name, rule));
        }
    };
    let other = other_separator(model);
    add(model.to_ascii_lowercase(), Rule::Spelling);
    if let Some(other) = &other {
        add(other.clone(), Rule::Spelling);
    }
    for name in [Some(model.to_owned()), other].into_iter().flatten() {
        if let Some(at) = at_date(&name) {
            add(at, Rule::Dated);
        }
    }
    spellings
}

/// The first number of two short parts with its other separator: `4.5` for `4-5`.
fn other_separator(model: &str) -> Option<String> {
    let bytes = model.as_bytes();
    let digits = |bytes: &mut dyn Iterator<Item = &u8>| bytes.take_while(|byte| byte.is_ascii_digit()).count();
    let place = (1..bytes.len()).find(|place| {
        let [before, after] = [digits(&mut bytes[..*place].iter().rev()), digits(&mut bytes[place + 1..].iter())];
        matches!(bytes[*place], b'-' | b'.') && (1..=2).contains(&before) && (1..=2).contains(&after)
    })?;
    let separator = if bytes[place] == b'-' { '.' } else { '-' };
    Some(format!("{}{separator}{}", &model[..place], &model[place + 1..]))
}

/// `model@20251101` for `model-20251101`, as Vertex writes it.
fn at_date(model: &str) -> Option<String> {
    let (name, date) = model.rsplit_once('-')?;
    (date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("{name}@{date}"))
}
