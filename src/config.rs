//! The only reader of the environment. Everything is read once and validated as a whole: every fault is listed with its
//! variable, and what halfhour does not know is refused rather than ignored.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use axum::http::HeaderValue;
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use crate::kernel::token::ServerKey;

/// Where the database is.
#[derive(Clone, Debug)]
pub enum Database {
    /// A private PostgreSQL in the data directory.
    Embedded,
    /// The PostgreSQL of `DATABASE_URL`. Boxed, because connection options are large.
    External(Box<PgConnectOptions>),
}

/// The whole configuration, valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database: Database,
    /// `HALFHOUR_SECRET`; always there with an external database.
    pub secret: Option<ServerKey>,
    /// `HALFHOUR_BIND`.
    pub bind: SocketAddr,
    /// `HALFHOUR_PUBLIC_URL`, where it differs from the address.
    pub public_url: Option<String>,
    /// `HALFHOUR_DATA_DIR`.
    pub data_dir: PathBuf,
    /// `HALFHOUR_LOG`: a filter such as `info` or `halfhour=debug`.
    pub log: String,
    /// `HALFHOUR_INGEST_MAX_AGE_DAYS`; `None` is no limit.
    pub ingest_max_age_days: Option<u32>,
    /// `HALFHOUR_BACKFILL_MAX_DAYS`: the longest window of an import.
    pub backfill_max_days: u32,
    /// `HALFHOUR_RETENTION_DAYS`; `None` keeps everything.
    pub retention_days: Option<u32>,
    /// `HALFHOUR_CORS_ORIGINS`.
    pub cors_origins: Vec<HeaderValue>,
    /// `HALFHOUR_POOL_*`.
    pub pool_sizes: PoolSizes,
    /// `HALFHOUR_REQUEST_DEADLINE_MS`.
    pub request_deadline: Duration,
    /// `HALFHOUR_LIMIT_*`.
    pub limits: LimitsPerMinute,
}

/// How many connections each pool may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSizes {
    /// Trackers' posts: each connection has its own writer task, and two keep a disk busy.
    pub ingest: u32,
    /// Authentication and reads.
    pub read: u32,
    /// The relay and operators.
    pub worker: u32,
}

/// Requests a minute for each principal, by role; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsPerMinute {
    /// Each device token.
    pub device: Option<u32>,
    /// Each viewer token.
    pub viewer: Option<u32>,
    /// Each operator token.
    pub operator: Option<u32>,
}

/// Every variable as text. envy reports a number by its position and not by its name, so the conversion is ours.
#[derive(Debug, Default, Deserialize)]
struct Raw {
    database_url: Option<String>,
    halfhour_secret: Option<String>,
    halfhour_bind: Option<String>,
    halfhour_public_url: Option<String>,
    halfhour_data_dir: Option<String>,
    halfhour_log: Option<String>,
    halfhour_ingest_max_age_days: Option<String>,
    halfhour_retention_days: Option<String>,
    halfhour_backfill_max_days: Option<String>,
    halfhour_cors_origins: Option<String>,
    halfhour_pool_ingest: Option<String>,
    halfhour_pool_read: Option<String>,
    halfhour_pool_worker: Option<String>,
    halfhour_request_deadline_ms: Option<String>,
    halfhour_limit_device_per_minute: Option<String>,
    halfhour_limit_viewer_per_minute: Option<String>,
    halfhour_limit_operator_per_minute: Option<String>,
}

/// Every variable that halfhour reads, in the order of `.env.example`.
pub const VARIABLES: [&str; 17] = [
    "DATABASE_URL",
    "HALFHOUR_SECRET",
    "HALFHOUR_BIND",
    "HALFHOUR_PUBLIC_URL",
    "HALFHOUR_DATA_DIR",
    "HALFHOUR_LOG",
    "HALFHOUR_INGEST_MAX_AGE_DAYS",
    "HALFHOUR_RETENTION_DAYS",
    "HALFHOUR_BACKFILL_MAX_DAYS",
    "HALFHOUR_CORS_ORIGINS",
    "HALFHOUR_POOL_INGEST",
    "HALFHOUR_POOL_READ",
    "HALFHOUR_POOL_WORKER",
    "HALFHOUR_REQUEST_DEADLINE_MS",
    "HALFHOUR_LIMIT_DEVICE_PER_MINUTE",
    "HALFHOUR_LIMIT_VIEWER_PER_MINUTE",
    "HALFHOUR_LIMIT_OPERATOR_PER_MINUTE",
];

/// What `credentials.env` holds for clients: whoever exported it may still run commands.
pub const CREDENTIALS: [&str; 6] = [
    "HALFHOUR_URL",
    "HALFHOUR_DEVICE_TOKEN",
    "HALFHOUR_VIEWER_TOKEN",
    "HALFHOUR_OPERATOR_TOKEN",
    "HALFHOUR_USER_ID",
    "HALFHOUR_DEVICE_ID",
];

/// What the private PostgreSQL admits, less a few for commands that join it and for people who look.
const EMBEDDED_CONNECTIONS: u32 = 50;

/// Everything that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Faults(Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "The configuration has {} fault(s):", self.0.len())?;
        self.0.iter().try_for_each(|fault| writeln!(formatter, "  {fault}"))
    }
}

impl std::error::Error for Faults {}

impl Config {
    /// Reads the process's environment. Errors: every fault, with its variable.
    pub fn from_env() -> Result<Self, Faults> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with("HALFHOUR_") || name == "DATABASE_URL")
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()));
        Self::from_variables(variables)
    }

    /// Reads named values, as [`Config::from_env`] does. An empty value counts as absent.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Faults> {
        let variables: BTreeMap<_, _> = variables.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect();
        let mut reader = Reader::default();
        let known = |name: &str| VARIABLES.contains(&name) || CREDENTIALS.contains(&name);
        for name in variables.keys().filter(|name| !known(name)) {
            reader.fault(name, "is not a variable of halfhour; .env.example lists them all");
        }
        let raw: Raw = envy::from_iter(variables).unwrap_or_default();
        let config = reader.config(raw);
        if reader.faults.is_empty() { Ok(config) } else { Err(Faults(reader.faults)) }
    }
}

/// Converts values and collects what is wrong with them.
#[derive(Default)]
struct Reader {
    faults: Vec<String>,
}

impl Reader {
    fn fault(&mut self, name: &str, what: impl fmt::Display) {
        self.faults.push(format!("{name} {what}"));
    }

    fn config(&mut self, raw: Raw) -> Config {
        let database = self.database(raw.database_url);
        let secret = self.secret(raw.halfhour_secret);
        if matches!(database, Database::External(_)) && secret.is_none() {
            let what = "is required with DATABASE_URL: at least 32 random characters, the same on every process";
            self.fault("HALFHOUR_SECRET", what);
        }
        let minute = |limit: u32| (limit > 0).then_some(limit);
        let pool_sizes = PoolSizes {
            ingest: self.number("HALFHOUR_POOL_INGEST", raw.halfhour_pool_ingest, 2, 1..=16),
            read: self.number("HALFHOUR_POOL_READ", raw.halfhour_pool_read, 8, 1..=200),
            worker: self.number("HALFHOUR_POOL_WORKER", raw.halfhour_pool_worker, 4, 2..=50),
        };
        let connections = pool_sizes.ingest + pool_sizes.read + pool_sizes.worker;
        if matches!(database, Database::Embedded) && connections > EMBEDDED_CONNECTIONS {
            let what = format!(
                "and HALFHOUR_POOL_READ, HALFHOUR_POOL_WORKER may have {EMBEDDED_CONNECTIONS} connections together on the \
                 private PostgreSQL, not {connections}; lower them, or set DATABASE_URL"
            );
            self.fault("HALFHOUR_POOL_INGEST", what);
        }
        let limits = LimitsPerMinute {
            device: minute(self.number(
                "HALFHOUR_LIMIT_DEVICE_PER_MINUTE",
                raw.halfhour_limit_device_per_minute,
                120,
                0..=60_000,
            )),
            viewer: minute(self.number(
                "HALFHOUR_LIMIT_VIEWER_PER_MINUTE",
                raw.halfhour_limit_viewer_per_minute,
                600,
                0..=60_000,
            )),
            operator: minute(self.number(
                "HALFHOUR_LIMIT_OPERATOR_PER_MINUTE",
                raw.halfhour_limit_operator_per_minute,
                600,
                0..=60_000,
            )),
        };
        let deadline_ms =
            self.number("HALFHOUR_REQUEST_DEADLINE_MS", raw.halfhour_request_deadline_ms, 10_000, 100..=60_000);
        let max_age = self.number("HALFHOUR_INGEST_MAX_AGE_DAYS", raw.halfhour_ingest_max_age_days, 400, 0..=36_500);
        let retention = self.number("HALFHOUR_RETENTION_DAYS", raw.halfhour_retention_days, 0, 0..=36_500);
        if retention > 0 && (max_age == 0 || max_age >= retention) {
            let what = format!(
                "must be above 0 and below HALFHOUR_RETENTION_DAYS, {retention}: what trackers may post must be kept"
            );
            self.fault("HALFHOUR_INGEST_MAX_AGE_DAYS", what);
        }
        Config {
            database,
            secret,
            bind: self.parsed(
                "HALFHOUR_BIND",
                raw.halfhour_bind,
                "127.0.0.1:8080",
                "an address and port such as 127.0.0.1:8080",
            ),
            public_url: self.public_url(raw.halfhour_public_url),
            data_dir: raw.halfhour_data_dir.map_or_else(|| PathBuf::from("data"), PathBuf::from),
            log: self.log(raw.halfhour_log),
            ingest_max_age_days: (max_age > 0).then_some(max_age),
            retention_days: (retention > 0).then_some(retention),
            backfill_max_days: self.number("HALFHOUR_BACKFILL_MAX_DAYS", raw.halfhour_backfill_max_days, 90, 1..=3_660),
            cors_origins: self.cors_origins(raw.halfhour_cors_origins),
            pool_sizes,
            request_deadline: Duration::from_millis(deadline_ms.into()),
            limits,
        }
    }

    fn parsed<T: FromStr>(&mut self, name: &str, value: Option<String>, default: &str, wanted: &str) -> T {
        let value = value.unwrap_or_else(|| default.to_owned());
        match (value.trim().parse::<T>(), default.parse::<T>()) {
            (Ok(value), _) => value,
            (Err(_), Ok(default)) => {
                self.fault(name, format!("must be {wanted}, not {value:?}"));
                default
            }
            (Err(_), Err(_)) => unreachable!("the default of {name} is valid"),
        }
    }

    fn number(&mut self, name: &str, value: Option<String>, default: u32, range: std::ops::RangeInclusive<u32>) -> u32 {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let number = self.parsed(name, value, &default.to_string(), &wanted);
        if range.contains(&number) {
            return number;
        }
        self.fault(name, format!("must be {wanted}, not {number}"));
        default
    }

    fn database(&mut self, url: Option<String>) -> Database {
        let Some(url) = url else { return Database::Embedded };
        // The URL may hold a password: neither it nor the parser's words about it are repeated.
        let has_scheme = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        match url.parse::<PgConnectOptions>() {
            Ok(options) if has_scheme => Database::External(Box::new(options)),
            _ => {
                self.fault("DATABASE_URL", "must be a URL such as postgres://user:password@host:5432/halfhour");
                Database::Embedded
            }
        }
    }

    fn secret(&mut self, secret: Option<String>) -> Option<ServerKey> {
        let secret = secret?;
        let key = ServerKey::new(secret.as_bytes());
        if key.is_none() {
            self.fault("HALFHOUR_SECRET", format!("must have at least {} characters", ServerKey::MIN_BYTES));
        }
        // A short secret is one fault, not two.
        key.or_else(|| ServerKey::new(&[0; ServerKey::MIN_BYTES]))
    }

    fn public_url(&mut self, url: Option<String>) -> Option<String> {
        let url = url?;
        let is_web = url::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_web {
            self.fault("HALFHOUR_PUBLIC_URL", format!("must be a URL such as https://halfhour.example, not {url:?}"));
        }
        Some(url.trim_end_matches('/').to_owned())
    }

    fn log(&mut self, filter: Option<String>) -> String {
        let filter = filter.unwrap_or_else(|| "info".to_owned());
        if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
            self.fault("HALFHOUR_LOG", format!("must be a filter such as info or halfhour=debug, not {filter:?}"));
        }
        filter
    }

    fn cors_origins(&mut self, list: Option<String>) -> Vec<HeaderValue> {
        let list = list.unwrap_or_default();
        let mut origins = Vec::new();
        for origin in list.split(',').map(str::trim).filter(|origin| !origin.is_empty()) {
            let parsed = url::Url::parse(origin).ok().filter(|url| url.origin().ascii_serialization() == origin);
            match parsed.and_then(|_| HeaderValue::from_str(origin).ok()) {
                Some(origin) => origins.push(origin),
                None => self.fault(
                    "HALFHOUR_CORS_ORIGINS",
                    format!("must list origins such as https://app.example, not {origin:?}"),
                ),
            }
        }
        origins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Faults> {
        Config::from_variables(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn nothing_configured_means_a_private_database_on_loopback() {
        let config = read(&[("HALFHOUR_BIND", "  ")]).unwrap();
        assert!(matches!(config.database, Database::Embedded));
        assert_eq!(config.bind, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(config.ingest_max_age_days, Some(400));
    }

    #[test]
    fn every_fault_is_listed_with_its_variable() {
        let faults = read(&[
            ("HALFHOUR_BIND", "localhost"),
            ("HALFHOUR_POOL_WORKER", "0"),
            ("HALFHOUR_REQUEST_DEADLINE_MS", "soon"),
            ("HALFHOUR_BNID", "127.0.0.1:1"),
            ("HALFHOUR_CORS_ORIGINS", "https://a.example, nonsense"),
        ])
        .unwrap_err()
        .to_string();
        for name in [
            "HALFHOUR_BIND ",
            "HALFHOUR_POOL_WORKER ",
            "HALFHOUR_REQUEST_DEADLINE_MS ",
            "HALFHOUR_BNID ",
            "HALFHOUR_CORS_ORIGINS ",
        ] {
            assert!(faults.contains(name), "{name} is missing in {faults}");
        }
        assert!(faults.contains("5 fault(s)"), "{faults}");
    }

    #[test]
    fn an_external_database_needs_a_secret_and_a_bad_url_is_not_repeated() {
        let url = "postgres://u:hunter2@h/db";
        assert!(read(&[("DATABASE_URL", url)]).unwrap_err().to_string().contains("HALFHOUR_SECRET is required"));
        assert!(read(&[("DATABASE_URL", url), ("HALFHOUR_SECRET", &"s".repeat(32))]).is_ok());
        let faults = read(&[("DATABASE_URL", "mysql://u:hunter2@h/db"), ("HALFHOUR_SECRET", "short")]).unwrap_err();
        assert!(!faults.to_string().contains("hunter2"), "{faults}");
        assert_eq!(faults.0.len(), 2, "{faults}");
    }

    #[test]
    fn exported_credentials_are_no_configuration_and_no_fault() {
        assert!(read(&CREDENTIALS.map(|name| (name, "x"))).is_ok());
    }

    #[test]
    fn the_private_database_has_only_so_many_connections() {
        let pools = [("HALFHOUR_POOL_READ", "100")];
        assert!(read(&pools).unwrap_err().to_string().contains("HALFHOUR_POOL_READ"));
        let external = [("DATABASE_URL", "postgres://h/db"), ("HALFHOUR_SECRET", &"s".repeat(32)), pools[0]];
        assert!(read(&external).is_ok());
    }

    #[test]
    fn trackers_may_not_post_what_would_not_be_kept() {
        let days = |age: &'static str, kept: &'static str| {
            read(&[("HALFHOUR_INGEST_MAX_AGE_DAYS", age), ("HALFHOUR_RETENTION_DAYS", kept)])
        };
        assert_eq!(days("89", "90").unwrap().retention_days, Some(90));
        assert_eq!(days("0", "0").unwrap().retention_days, None);
        for age in ["90", "91", "0", ""] {
            let faults = days(age, "90").unwrap_err().to_string();
            assert!(faults.contains("HALFHOUR_INGEST_MAX_AGE_DAYS must be above 0 and below"), "{age}: {faults}");
        }
    }

    #[test]
    fn zero_switches_a_limit_off() {
        let config = read(&[("HALFHOUR_LIMIT_DEVICE_PER_MINUTE", "0"), ("HALFHOUR_INGEST_MAX_AGE_DAYS", "0")]).unwrap();
        assert_eq!((config.limits.device, config.limits.viewer, config.ingest_max_age_days), (None, Some(600), None));
    }

    #[test]
    fn the_example_file_lists_exactly_the_variables_that_are_read_and_is_valid() {
        let example = include_str!("../.env.example");
        let uncommented = example.lines().filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once('='));
        let variables: Vec<_> =
            uncommented.filter(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b"_".contains(&b))).collect();
        let names: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, VARIABLES);
        read(&variables).unwrap();
    }
}
