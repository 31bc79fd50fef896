//! What the values of variables mean. The conversions collect everything that is wrong instead of
//! stopping at the first fault.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::http::HeaderValue;
use ipnet::IpNet;
use sqlx::postgres::PgConnectOptions;

use crate::kernel::access::ServerKey;
use crate::kernel::bucket::MAX_POSTED;

/// Where the database is.
#[derive(Clone, Debug)]
pub enum Database {
    /// A private PostgreSQL in the data directory.
    Embedded,
    /// The PostgreSQL of `DATABASE_URL`. Boxed, because connection options are large.
    External(Box<PgConnectOptions>),
}

/// Converts values and collects what is wrong with them.
#[derive(Default)]
pub(crate) struct VariableReader {
    pub(crate) faults: Vec<String>,
}

impl VariableReader {
    pub(crate) fn fault(&mut self, name: &str, what: impl fmt::Display) {
        self.faults.push(format!("{name} {what}"));
    }

    pub(crate) fn parsed<T: FromStr>(&mut self, name: &str, value: Option<String>, default: &str, wanted: &str) -> T {
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

    pub(crate) fn number(
        &mut self,
        name: &str,
        value: Option<String>,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> u32 {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let number = self.parsed(name, value, &default.to_string(), &wanted);
        if range.contains(&number) {
            return number;
        }
        self.fault(name, format!("must be {wanted}, not {number}"));
        default
    }

    pub(crate) fn database(&mut self, url: Option<String>) -> Database {
        let options = url.and_then(|url| self.database_url("DATABASE_URL", &url));
        options.map_or(Database::Embedded, |options| Database::External(Box::new(options)))
    }

    /// Only beside a database that can have a standby: the private PostgreSQL has none.
    pub(crate) fn read_database(&mut self, url: Option<String>, database: &Database) -> Option<Box<PgConnectOptions>> {
        const NAME: &str = "HALFHOUR_READ_DATABASE_URL";
        let options = self.database_url(NAME, &url?)?;
        if matches!(database, Database::Embedded) {
            self.fault(NAME, "names a standby of the PostgreSQL of DATABASE_URL, which is not set");
        }
        Some(Box::new(options))
    }

    fn database_url(&mut self, name: &str, url: &str) -> Option<PgConnectOptions> {
        // The URL may hold a password: neither it nor the parser's words about it are repeated.
        let has_scheme = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        let options = url.parse::<PgConnectOptions>().ok().filter(|_| has_scheme);
        if options.is_none() {
            self.fault(name, "must be a URL such as postgres://user:password@host:5432/halfhour");
        }
        options
    }

    pub(crate) fn secret(&mut self, secret: Option<String>) -> Option<ServerKey> {
        let secret = secret?;
        let key = ServerKey::new(secret.as_bytes());
        if key.is_none() {
            self.fault("HALFHOUR_SECRET", format!("must have at least {} characters", ServerKey::MIN_BYTES));
        }
        // A short secret is one fault, not two.
        key.or_else(|| ServerKey::new(&[0; ServerKey::MIN_BYTES]))
    }

    pub(crate) fn public_url(&mut self, url: Option<String>) -> Option<String> {
        let url = url?;
        let parsed = url::Url::parse(url.trim()).ok();
        let Some(parsed) = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) else {
            self.fault("HALFHOUR_PUBLIC_URL", format!("must be a URL such as https://halfhour.example, not {url:?}"));
            return None;
        };
        let has_more = parsed.query().is_some() || parsed.fragment().is_some() || !parsed.username().is_empty();
        if has_more || parsed.password().is_some() || parsed.path().contains("//") {
            let what = "must be scheme, host and at most a path, such as https://example.org/halfhour: no user, query, \
                        fragment or doubled slashes";
            self.fault("HALFHOUR_PUBLIC_URL", what);
        }
        Some(parsed.as_str().trim_end_matches('/').to_owned())
    }

    pub(crate) fn log(&mut self, filter: Option<String>) -> String {
        let filter = filter.unwrap_or_else(|| "info".to_owned());
        if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
            self.fault("HALFHOUR_LOG", format!("must be a filter such as info or halfhour=debug, not {filter:?}"));
        }
        filter
    }

    /// Fewer than a post may have would refuse some posts for ever.
    pub(crate) fn buckets_per_hour(&mut self, value: Option<String>) -> u32 {
        let name = "HALFHOUR_LIMIT_DEVICE_BUCKETS_PER_HOUR";
        let quota = self.number(name, value, 60_000, 0..=10_000_000);
        if (1..MAX_POSTED.into()).contains(&quota) {
            self.fault(name, format!("must be 0 or at least {MAX_POSTED}, which is what one post may have"));
        }
        quota
    }

    pub(crate) fn trusted_proxies(&mut self, list: Option<String>) -> Vec<IpNet> {
        let list = list.unwrap_or_default();
        let mut proxies = Vec::new();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match entry.parse::<IpNet>().or_else(|_| entry.parse::<std::net::IpAddr>().map(IpNet::from)) {
                Ok(network) => proxies.push(network),
                Err(_) => self.fault(
                    "HALFHOUR_TRUSTED_PROXIES",
                    format!("must list addresses and networks such as 10.0.0.0/8, not {entry:?}"),
                ),
            }
        }
        proxies
    }

    pub(crate) fn cors_origins(&mut self, list: Option<String>) -> Vec<HeaderValue> {
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
