//! The only reader of the environment.
//!
//! Everything is read once and validated as a whole. Every fault is listed with its variable. A
//! variable that halfhour does not know is refused, not ignored.

mod connections;
mod traces;
mod values;
mod variables;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderValue;
use ipnet::IpNet;
use sqlx::postgres::PgConnectOptions;

use crate::kernel::access::ServerKey;
pub use connections::{OTHER_CONNECTIONS, PoolSizes};
pub use traces::TraceExport;
pub use values::Database;
use values::VariableReader;
use variables::Raw;
pub use variables::{CREDENTIALS, VARIABLES};

/// The whole configuration, valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database: Database,
    /// `HALFHOUR_READ_DATABASE_URL`: a standby of it that reads are answered from. Boxed, because connection options are large.
    pub read_database: Option<Box<PgConnectOptions>>,
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
    /// `HALFHOUR_RELAYS`: how many relays fold beside each other.
    pub relays: u32,
    /// `HALFHOUR_REQUEST_DEADLINE_MS`.
    pub request_deadline: Duration,
    /// `HALFHOUR_TRUSTED_PROXIES`: whose word on where a request comes from is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// `HALFHOUR_LIMIT_*`.
    pub limits: Limits,
    /// `OTEL_*`; `None` exports no traces.
    pub traces: Option<TraceExport>,
    /// Variables `OTEL_*` that are set and not read.
    pub unread: Vec<String>,
    /// Whether somebody sits before this machine, as desktops say it.
    pub has_desktop: bool,
}

/// How often one caller may call; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests a minute without a valid token, for each address.
    pub anonymous: u32,
    /// Requests a minute, for each device token.
    pub device: u32,
    /// Requests a minute, for each viewer token.
    pub viewer: u32,
    /// Requests a minute, for each operator token.
    pub operator: u32,
    /// Buckets an hour, for each device.
    pub device_buckets_per_hour: u32,
}

impl Limits {
    /// No limits.
    pub const OFF: Self = Self { anonymous: 0, device: 0, viewer: 0, operator: 0, device_buckets_per_hour: 0 };
}

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
    /// Connections to databases that a process may open. As many reads may be on the standby as on the primary.
    pub fn database_connections(&self) -> u32 {
        let on_standby = self.read_database.as_ref().map_or(0, |_| self.pool_sizes.read);
        self.pool_sizes.total() + on_standby + OTHER_CONNECTIONS
    }

    /// Reads the process's environment. Errors: every fault, with its variable.
    pub fn from_env() -> Result<Self, Faults> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| {
                ["HALFHOUR_", traces::PREFIX].iter().any(|of| name.starts_with(of)) || name == "DATABASE_URL"
            })
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()));
        let shows = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let has_desktop = cfg!(target_os = "macos") || shows("DISPLAY") || shows("WAYLAND_DISPLAY");
        Ok(Self { has_desktop, ..Self::from_variables(variables)? })
    }

    /// Reads named values, as [`Config::from_env`] does. An empty value counts as absent.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Faults> {
        let variables: BTreeMap<_, _> = variables.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect();
        let mut reader = VariableReader::default();
        // Other programs of the machine may keep to these, so they are no fault.
        let is_unread = |name: &&String| name.starts_with(traces::PREFIX) && !VARIABLES.contains(&name.as_str());
        let unread: Vec<String> = variables.keys().filter(is_unread).cloned().collect();
        let known = |name: &String| {
            VARIABLES.contains(&name.as_str()) || CREDENTIALS.contains(&name.as_str()) || unread.contains(name)
        };
        for name in variables.keys().filter(|name| !known(name)) {
            reader.fault(name, "is not a variable of halfhour; .env.example lists them all");
        }
        let raw: Raw = envy::from_iter(variables).unwrap_or_default();
        let config = Config { unread, ..reader.config(raw) };
        if reader.faults.is_empty() { Ok(config) } else { Err(Faults(reader.faults)) }
    }
}

impl VariableReader {
    fn config(&mut self, raw: Raw) -> Config {
        let traces = self.traces(&raw);
        let database = self.database(raw.database_url.clone());
        let (pool_sizes, relays) = self.connections(&raw, &database);
        let read_database = self.read_database(raw.halfhour_read_database_url, &database);
        let secret = self.secret(raw.halfhour_secret);
        if matches!(database, Database::External(_)) && secret.is_none() {
            let what = "is required with DATABASE_URL: at least 32 random characters, the same on every process";
            self.fault("HALFHOUR_SECRET", what);
        }
        let mut per_minute = |name, value, default| self.number(name, value, default, 0..=60_000);
        let limits = Limits {
            anonymous: per_minute("HALFHOUR_LIMIT_ANONYMOUS_PER_MINUTE", raw.halfhour_limit_anonymous_per_minute, 60),
            device: per_minute("HALFHOUR_LIMIT_DEVICE_PER_MINUTE", raw.halfhour_limit_device_per_minute, 600),
            viewer: per_minute("HALFHOUR_LIMIT_VIEWER_PER_MINUTE", raw.halfhour_limit_viewer_per_minute, 600),
            operator: per_minute("HALFHOUR_LIMIT_OPERATOR_PER_MINUTE", raw.halfhour_limit_operator_per_minute, 600),
            device_buckets_per_hour: self.buckets_per_hour(raw.halfhour_limit_device_buckets_per_hour),
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
            read_database,
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
            trusted_proxies: self.trusted_proxies(raw.halfhour_trusted_proxies),
            cors_origins: self.cors_origins(raw.halfhour_cors_origins),
            pool_sizes,
            relays,
            request_deadline: Duration::from_millis(deadline_ms.into()),
            limits,
            traces,
            unread: Vec::new(),
            has_desktop: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn read(variables: &[(&str, &str)]) -> Result<Config, Faults> {
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
    fn a_standby_needs_a_database_that_it_can_follow_and_its_url_is_not_repeated() {
        let read_url = ("HALFHOUR_READ_DATABASE_URL", "postgres://u:hunter2@replica/db");
        let secret = "s".repeat(32);
        let external = [("DATABASE_URL", "postgres://h/db"), ("HALFHOUR_SECRET", &*secret)];
        assert!(read(&external).unwrap().read_database.is_none());
        assert!(read(&[external[0], external[1], read_url]).unwrap().read_database.is_some());
        for variables in [&[read_url][..], &[external[0], external[1], (read_url.0, "replica:hunter2")]] {
            let faults = read(variables).unwrap_err().to_string();
            assert!(faults.contains("HALFHOUR_READ_DATABASE_URL ") && !faults.contains("hunter2"), "{faults}");
        }
    }

    #[test]
    fn exported_credentials_are_no_configuration_and_no_fault() {
        assert!(read(&CREDENTIALS.map(|name| (name, "x"))).is_ok());
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
        assert_eq!((config.limits.device, config.limits.viewer, config.ingest_max_age_days), (0, 600, None));
        let off = VARIABLES.iter().filter(|name| name.starts_with("HALFHOUR_LIMIT_")).map(|name| (*name, "0"));
        assert_eq!(read(&off.collect::<Vec<_>>()).unwrap().limits, Limits::OFF);
    }

    #[test]
    fn a_public_url_is_scheme_host_and_at_most_a_path() {
        let public_url = |text| read(&[("HALFHOUR_PUBLIC_URL", text)]);
        for (text, kept) in [
            ("https://example.org", "https://example.org"),
            ("HTTPS://Example.org/", "https://example.org"),
            ("https://example.org:8443/halfhour/", "https://example.org:8443/halfhour"),
            ("https://example.org/h\u{e4}lf/hour", "https://example.org/h%C3%A4lf/hour"),
        ] {
            assert_eq!(public_url(text).unwrap().public_url.as_deref(), Some(kept), "{text}");
        }
        for text in [
            "example.org",
            "/halfhour",
            "ftp://example.org",
            "https://",
            "https://example.org/?a=1",
            "https://example.org/halfhour#x",
            "https://ann:secret@example.org",
            "https://example.org//halfhour",
        ] {
            let faults = public_url(text).unwrap_err().to_string();
            assert!(faults.contains("HALFHOUR_PUBLIC_URL must be") && !faults.contains("secret"), "{faults}");
        }
    }

    #[test]
    fn an_hour_has_room_for_a_whole_post() {
        let quota = |text| read(&[("HALFHOUR_LIMIT_DEVICE_BUCKETS_PER_HOUR", text)]);
        assert_eq!(quota("500").unwrap().limits.device_buckets_per_hour, 500);
        for text in ["1", "499", "10000001", "-1"] {
            assert!(quota(text).unwrap_err().to_string().contains("BUCKETS_PER_HOUR"), "{text}");
        }
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        let proxies = |text| read(&[("HALFHOUR_TRUSTED_PROXIES", text)]);
        let read = proxies("10.0.0.0/8, 192.0.2.1,::1 , fd00::/8").unwrap().trusted_proxies;
        assert_eq!(
            read.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.0/8", "192.0.2.1/32", "::1/128", "fd00::/8"]
        );
        for text in ["10.0.0.0/33", "proxy.example", "10.0.0.1, everyone"] {
            assert!(proxies(text).unwrap_err().to_string().contains("HALFHOUR_TRUSTED_PROXIES"), "{text}");
        }
    }

    #[test]
    fn the_example_file_lists_exactly_the_variables_that_are_read_and_is_valid() {
        let example = include_str!("../../.env.example");
        let uncommented = example.lines().filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once('='));
        let variables: Vec<_> =
            uncommented.filter(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b"_".contains(&b))).collect();
        let names: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, VARIABLES);
        read(&variables).unwrap();
    }
}
