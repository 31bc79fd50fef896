//! Who is signed in on a browser.
//!
//! A session is a row of `account.token` whose secret nobody has. The cookie holds that row's key and when the session
//! began, encrypted under a key of its own that is derived from the server's. So a session ends with its row, within the same ten
//! seconds as any token, and so does one that a token began when that token ends. Nothing in a cookie is believed that
//! this server has not sealed, and a seal for one cookie's name opens no other one.
//!
//! A viewer's session and an operator's are kept under names of their own. So a browser may have both, neither opens what the
//! other one is for, and each is ended by itself.

use std::fmt;
use std::sync::Arc;

use axum::http::header::{COOKIE, HOST};
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use cookie::{Cookie, SameSite};
use pasetors::Local;
use pasetors::keys::SymmetricKey;
use pasetors::token::UntrustedToken;
use pasetors::version4::{LocalToken, V4};
use serde::{Deserialize, Serialize};

use super::authenticator::Authenticator;
use super::principal::Principal;
use super::token::{ServerKey, TokenHash, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::problem::{Code, Problem};

/// A session ends so many seconds after it began, whatever is done with it: 30 days.
pub const SESSION_LIFETIME_S: u32 = 30 * 86_400;
/// An operator's does so sooner: within a working day.
pub const OPERATOR_SESSION_LIFETIME_S: u32 = 12 * 3600;
/// A cookie that is older is replaced by one of the same session.
const RENEWED_AFTER: TimeDelta = TimeDelta::days(1);
/// What a name begins with that a browser takes over TLS only.
const SECURE: &str = "__Host-";
/// What a release before or after this one writes has another number, and is no session here.
const FORM: u8 = 1;
/// No cookie of ours is longer.
const LONGEST: usize = 1024;

/// Under which names a browser keeps a session.
#[derive(Clone, Copy, Debug)]
struct Names {
    /// What it was told over TLS, or says it will.
    secure: &'static str,
    /// On this machine, without TLS: a browser takes no `__Host-` name there.
    loopback: &'static str,
}

const OF_VIEWERS: Names = Names { secure: "__Host-halfhour", loopback: "halfhour-session" };
const OF_OPERATORS: Names = Names { secure: "__Host-halfhour-operate", loopback: "halfhour-operate" };

/// A session: which row it is, which token began it, and how long it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The row.
    pub row: TokenHash,
    /// The token that was shown to begin it; `None` for a link's.
    pub begun_by: Option<TokenHash>,
    /// When it ends by itself.
    pub ends_at: DateTime<Utc>,
}

/// A session that a request has shown, and whose it is.
#[derive(Clone, Debug)]
pub struct FoundSession {
    /// A viewer, or an operator.
    pub principal: Principal,
    session: Session,
    sealed_at: DateTime<Utc>,
}

/// Seals sessions of one kind into cookies, and finds out whose those are. Clones share it.
#[derive(Clone)]
pub struct Sessions(Arc<Inside>);

/// The sessions of operators.
#[derive(Clone, Debug)]
pub struct OperatorSessions(pub Sessions);

struct Inside {
    kind: TokenKind,
    names: Names,
    key: SymmetricKey<V4>,
    authenticator: Authenticator,
    clock: Clock,
    is_public_over_tls: bool,
}

/// What a cookie says.
#[derive(Serialize, Deserialize)]
struct Sealed {
    form: u8,
    at: i64,
    end: i64,
    row: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

impl Sessions {
    /// Those of viewers, sealed under what `key` gives for this purpose; whether rows are valid, `authenticator` knows. Callers
    /// reach this server at `public_url`.
    pub fn new(key: &ServerKey, authenticator: Authenticator, clock: Clock, public_url: &str) -> Self {
        Self::of((TokenKind::Viewer, OF_VIEWERS), key, authenticator, clock, public_url)
    }

    /// The same of operators.
    pub fn of_operators(
        key: &ServerKey,
        authenticator: Authenticator,
        clock: Clock,
        public_url: &str,
    ) -> OperatorSessions {
        OperatorSessions(Self::of((TokenKind::Operator, OF_OPERATORS), key, authenticator, clock, public_url))
    }

    fn of(
        (kind, names): (TokenKind, Names),
        key: &ServerKey,
        authenticator: Authenticator,
        clock: Clock,
        public_url: &str,
    ) -> Self {
        let Ok(key) = SymmetricKey::from(&key.sign(&[b"halfhour session\0"])) else {
            unreachable!("a signature has as many bytes as a key")
        };
        let is_public_over_tls = public_url.starts_with("https://");
        Self(Arc::new(Inside { kind, names, key, authenticator, clock, is_public_over_tls }))
    }

    /// The session that a request shows, if it has not ended. Errors: 429 from an address that sent too many that had; the
    /// database's.
    pub async fn find(&self, headers: &HeaderMap, context: &RequestContext) -> Result<Option<FoundSession>, Problem> {
        let Some((session, sealed_at)) = self.shown(headers) else { return Ok(None) };
        if let Some(begun_by) = &session.begun_by
            && self.holder(begun_by, context).await?.is_none()
        {
            return Ok(None);
        }
        let principal = self.holder(&session.row, context).await?;
        Ok(principal.map(|principal| FoundSession { principal, session, sealed_at }))
    }

    /// What the cookies of a request say, as far as this server has sealed it.
    fn shown(&self, headers: &HeaderMap) -> Option<(Session, DateTime<Utc>)> {
        let name = self.name(headers);
        let texts = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let cookies = texts.flat_map(Cookie::split_parse).filter_map(Result::ok);
        let mut meant = cookies.filter(|cookie| cookie.name() == name);
        meant.find_map(|cookie| self.open(name, cookie.value()))
    }

    /// Who stands behind a row that is valid and of this kind.
    async fn holder(&self, row: &TokenHash, context: &RequestContext) -> Result<Option<Principal>, Problem> {
        let found = self.0.authenticator.find(row, context).await?;
        Ok(found.filter(|principal| principal.kind() == self.0.kind))
    }

    /// Whose token of this kind has that text, and what stands for it. Errors: 401 where it is not valid, 403 for a token of
    /// another kind; 429 and the database's.
    pub async fn owner_of(&self, text: &str, context: &RequestContext) -> Result<(Principal, TokenHash), Problem> {
        let (principal, hash) = self.0.authenticator.recognize(text, context).await?;
        if principal.kind() == self.0.kind {
            return Ok((principal, hash));
        }
        let kind = principal.kind().as_str();
        let wanted = match self.0.kind {
            TokenKind::Operator => "what operators do takes an operator token (`hho_…`)",
            _ => "the page shows what a viewer token (`hhv_…`) reads",
        };
        Err(Problem::new(Code::WrongPrincipal, format!("This is a token of the kind {kind}; {wanted}.")))
    }

    /// `Set-Cookie` for a session that begins.
    pub fn begin(&self, headers: &HeaderMap, session: &Session) -> Result<HeaderValue, Problem> {
        let now = self.0.clock.now();
        let name = self.name(headers);
        let sealed = self.seal(name, session, now)?;
        let left_s = (session.ends_at - now).num_seconds();
        set(name, sealed, cookie::time::Duration::seconds(left_s))
    }

    /// `Set-Cookie` for a session that goes on, where its cookie is a day old.
    pub fn renew(&self, headers: &HeaderMap, found: &FoundSession) -> Option<HeaderValue> {
        let is_due = self.0.clock.now() - found.sealed_at >= RENEWED_AFTER;
        is_due.then(|| self.begin(headers, &found.session).ok()).flatten()
    }

    /// `Set-Cookie` for a browser that is to forget its session.
    pub fn forget(&self, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
        set(self.name(headers), String::new(), cookie::time::Duration::ZERO)
    }

    /// Whether a browser that sends this request keeps a session: over TLS as far as the configuration says so, and on this
    /// machine.
    pub fn are_kept(&self, headers: &HeaderMap) -> bool {
        self.0.is_public_over_tls || self.name(headers) == self.0.names.loopback
    }

    /// Which cookie is meant. Only a browser on this machine may keep one that came without TLS.
    fn name(&self, headers: &HeaderMap) -> &'static str {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.0.is_public_over_tls && is_loopback(host) { self.0.names.loopback } else { self.0.names.secure }
    }

    fn seal(&self, name: &str, session: &Session, at: DateTime<Utc>) -> Result<String, Problem> {
        let written = |hash: &TokenHash| URL_SAFE_NO_PAD.encode(hash.as_bytes());
        let sealed = Sealed {
            form: FORM,
            at: at.timestamp(),
            end: session.ends_at.timestamp(),
            row: written(&session.row),
            by: session.begun_by.as_ref().map(written),
        };
        let text = serde_json::to_vec(&sealed).map_err(Problem::internal)?;
        LocalToken::encrypt(&self.0.key, &text, None, Some(name.as_bytes()))
            .map_err(|error| Problem::internal(format!("a session could not be sealed: {error:?}")))
    }

    /// What a cookie says, where this server has sealed it under that name and its time is not over.
    fn open(&self, name: &str, text: &str) -> Option<(Session, DateTime<Utc>)> {
        if text.len() > LONGEST {
            return None;
        }
        let untrusted = UntrustedToken::<Local, V4>::try_from(text).ok()?;
        let trusted = LocalToken::decrypt(&self.0.key, &untrusted, None, Some(name.as_bytes())).ok()?;
        let sealed: Sealed = serde_json::from_str(trusted.payload()).ok()?;
        let read = |text: &str| TokenHash::from_bytes(&URL_SAFE_NO_PAD.decode(text).ok()?);
        let by = match &sealed.by {
            Some(by) => Some(read(by)?),
            None => None,
        };
        let session =
            Session { row: read(&sealed.row)?, begun_by: by, ends_at: DateTime::from_timestamp_secs(sealed.end)? };
        let goes_on = sealed.form == FORM && session.ends_at > self.0.clock.now();
        let sealed_at = DateTime::from_timestamp_secs(sealed.at)?;
        goes_on.then_some((session, sealed_at))
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sessions")
    }
}

fn set(name: &'static str, value: String, max_age: cookie::time::Duration) -> Result<HeaderValue, Problem> {
    let cookie = Cookie::build((name, value)).path("/").http_only(true).same_site(SameSite::Lax);
    let cookie = cookie.secure(name.starts_with(SECURE)).max_age(max_age).build();
    HeaderValue::try_from(cookie.to_string()).map_err(Problem::internal)
}

/// Whether a host, with or without a port, is a name or an address of this machine alone.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address = name.parse::<std::net::IpAddr>();
    address.map_or_else(|_| name.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:1", "[::1]:8080", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "localhost.example", "127.0.0.1.example:80", "0.0.0.0", "10.0.0.1", "[::2]", "localhost@x"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn cookies_are_for_this_host_only_and_no_script_reads_them() {
        let line = |name| set(name, "x".into(), cookie::time::Duration::seconds(60)).unwrap();
        let line = |name| line(name).to_str().unwrap().to_owned();
        for names in [OF_VIEWERS, OF_OPERATORS] {
            for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=60"] {
                assert!(line(names.secure).contains(part) && line(names.loopback).contains(part), "{part}");
            }
            assert!(line(names.secure).contains("Secure") && !line(names.loopback).contains("Secure"));
            assert!(!line(names.secure).contains("Domain"));
        }
    }
}
